"""The rules of the books as queries that return only the rows that break them.

Each rule is one statement, so it sees one snapshot on both databases, and the database streams through the postings:
memory does not grow with the books. Nothing here trusts the code that wrote the rows.
"""

from typing import Final

from sqlalchemy import Connection, TextClause, text

from billing.domain import Fault, Proof
from billing.domain.lots import NEVER_MS

FAULTS_PER_RULE_MAX: Final = 100  # Enough to see what happened; the answer stays far below a message's limit.

#: rule → SELECT of (subject, detail). The order is the order of the report.
RULES: Final[dict[str, str]] = {
    "transaction_sums_to_zero": """
        SELECT COALESCE(t.id, '#' || p.number) AS subject,
               COALESCE(a.unit, '?') || ' postings sum to ' || SUM(p.delta) AS detail
        FROM postings p
        LEFT JOIN transactions t ON t.number = p.number
        LEFT JOIN accounts a ON a.id = p.account_id
        GROUP BY p.number, t.id, a.unit
        HAVING SUM(p.delta) <> 0
        ORDER BY p.number""",
    "balance_equals_postings": """
        SELECT a.id AS subject,
               'balance ' || a.balance || ', postings sum to ' || COALESCE(s.total, 0) AS detail
        FROM accounts a
        LEFT JOIN (SELECT account_id, SUM(delta) AS total FROM postings GROUP BY account_id) s
               ON s.account_id = a.id
        WHERE a.balance <> COALESCE(s.total, 0)
        ORDER BY a.id""",
    "account_above_floor": """
        SELECT id AS subject, 'balance ' || balance || ', floor 0' AS detail
        FROM accounts
        WHERE balance < 0 AND kind NOT IN ('funding', 'adjust')
        ORDER BY id""",
    "posting_has_account": """
        SELECT '#' || p.number || '/' || p.line AS subject, 'no account ' || p.account_id AS detail
        FROM postings p
        LEFT JOIN accounts a ON a.id = p.account_id
        WHERE a.id IS NULL
        ORDER BY p.number, p.line""",
    "posting_has_transaction": """
        SELECT '#' || p.number || '/' || p.line AS subject, 'no transaction ' || p.number AS detail
        FROM postings p
        LEFT JOIN transactions t ON t.number = p.number
        WHERE t.number IS NULL
        ORDER BY p.number, p.line""",
    "posting_stays_with_client": """
        SELECT t.id AS subject, 'of ' || t.client_id || ', posted to ' || a.id AS detail
        FROM postings p
        JOIN transactions t ON t.number = p.number
        JOIN accounts a ON a.id = p.account_id
        WHERE t.client_id <> a.client_id
        ORDER BY t.number""",
    "posting_fits_its_transaction": """
        SELECT t.id AS subject, t.kind || ' posted to ' || a.id AS detail
        FROM postings p
        JOIN transactions t ON t.number = p.number
        JOIN accounts a ON a.id = p.account_id
        WHERE NOT CASE t.kind
                  WHEN 'grant' THEN a.kind IN ('available', 'funding')
                  WHEN 'adjust' THEN a.kind IN ('available', 'adjust')
                  WHEN 'hold' THEN a.kind IN ('available', 'held')
                  WHEN 'capture' THEN a.kind IN ('available', 'held', 'revenue')
                  WHEN 'release' THEN a.kind IN ('available', 'held')
                  WHEN 'timeout' THEN a.kind IN ('available', 'held')
                  WHEN 'refund' THEN a.kind IN ('available', 'revenue')
                  WHEN 'expire' THEN a.kind IN ('available', 'lapsed')
                  ELSE FALSE END
        ORDER BY t.number""",
    "transaction_posts_once_to_an_account": """
        SELECT COALESCE(t.id, '#' || p.number) AS subject, COUNT(*) || ' postings to ' || p.account_id AS detail
        FROM postings p
        LEFT JOIN transactions t ON t.number = p.number
        GROUP BY p.number, t.id, p.account_id
        HAVING COUNT(*) > 1
        ORDER BY p.number""",
    "transaction_has_postings": """
        SELECT t.id AS subject, t.kind || ' without a posting' AS detail
        FROM transactions t
        LEFT JOIN holds h ON h.id = t.job_id AND h.amount = 0
        WHERE h.id IS NULL AND NOT EXISTS (SELECT 1 FROM postings p WHERE p.number = t.number)
        ORDER BY t.number""",
    "grant_has_transaction": """
        SELECT g.id AS subject, 'granted ' || g.amount || ' ' || g.unit || ', booked '
               || COALESCE(SUM(p.delta), 0) AS detail
        FROM grants g
        LEFT JOIN transactions t ON t.id = 'grant:' || g.id AND t.kind = 'grant' AND t.client_id = g.client_id
        LEFT JOIN postings p ON p.number = t.number
              AND p.account_id = 'available/' || g.unit || '/' || g.client_id
        GROUP BY g.id, g.amount, g.unit
        HAVING COALESCE(SUM(p.delta), 0) <> g.amount
        ORDER BY g.id""",
    "grant_transaction_has_grant": """
        SELECT t.id AS subject, 'no such grant' AS detail
        FROM transactions t
        LEFT JOIN grants g ON t.id = 'grant:' || g.id
        WHERE t.kind = 'grant' AND g.id IS NULL
        ORDER BY t.number""",
    "hold_is_placed_once": """
        SELECT h.id AS subject, 'placed ' || COALESCE(n.placed, 0) || ' times' AS detail
        FROM holds h
        LEFT JOIN (SELECT job_id, client_id, COUNT(*) AS placed FROM transactions WHERE kind = 'hold'
                   GROUP BY job_id, client_id) n ON n.job_id = h.id AND n.client_id = h.client_id
        WHERE COALESCE(n.placed, 0) <> 1
        ORDER BY h.id""",
    "job_transaction_has_hold": """
        SELECT t.id AS subject, t.kind || ' of a job without a hold' AS detail
        FROM transactions t
        LEFT JOIN holds h ON h.id = t.job_id
        WHERE h.id IS NULL AND (t.job_id <> '' OR t.kind IN ('hold', 'capture', 'release', 'timeout', 'refund'))
        ORDER BY t.number""",
    "hold_resolves_once": """
        SELECT h.id AS subject, h.state || ', resolved ' || COALESCE(n.resolved, 0) || ' times: '
               || COALESCE(n.kinds, 'never') AS detail
        FROM holds h
        LEFT JOIN (SELECT job_id, COUNT(*) AS resolved, MIN(kind) AS kinds FROM transactions
                   WHERE kind IN ('capture', 'release', 'timeout') GROUP BY job_id) n ON n.job_id = h.id
        WHERE COALESCE(n.resolved, 0) <> CASE WHEN h.state = 'held' THEN 0 ELSE 1 END
           OR COALESCE(n.kinds, '') <> CASE h.state WHEN 'captured' THEN 'capture' WHEN 'released' THEN 'release'
                                            WHEN 'timed_out' THEN 'timeout' ELSE '' END
        ORDER BY h.id""",
    "hold_equals_postings": """
        SELECT h.id AS subject,
               h.state || ' ' || h.amount || ' ' || h.unit || ' captured ' || h.captured || '; postings: placed '
               || COALESCE(s.placed, 0) || ' ' || COALESCE(s.unit, h.unit) || ', freed '
               || COALESCE(s.freed, 0) || ', spent ' || COALESCE(s.spent, 0)
               || '; refunded ' || h.refunded || ', posted ' || COALESCE(s.refunded, 0) AS detail
        FROM holds h
        LEFT JOIN (
            SELECT t.job_id, a.unit,
                   SUM(CASE WHEN t.kind = 'hold' AND a.kind = 'held' THEN p.delta ELSE 0 END) AS placed,
                   SUM(CASE WHEN t.kind <> 'hold' AND a.kind = 'held' THEN -p.delta ELSE 0 END) AS freed,
                   SUM(CASE WHEN t.kind <> 'refund' AND a.kind = 'revenue' THEN p.delta ELSE 0 END) AS spent,
                   SUM(CASE WHEN t.kind = 'refund' AND a.kind = 'revenue' THEN -p.delta ELSE 0 END) AS refunded
            FROM transactions t
            JOIN postings p ON p.number = t.number
            JOIN accounts a ON a.id = p.account_id
            WHERE t.job_id <> ''
            GROUP BY t.job_id, a.unit
        ) s ON s.job_id = h.id
        WHERE COALESCE(s.unit, h.unit) <> h.unit
           OR COALESCE(s.placed, 0) <> h.amount
           OR COALESCE(s.freed, 0) <> CASE WHEN h.state = 'held' THEN 0 ELSE h.amount END
           OR COALESCE(s.spent, 0) <> h.captured
           OR COALESCE(s.refunded, 0) <> h.refunded
        ORDER BY h.id""",
    "refund_is_booked": """
        SELECT r.id AS subject, 'refunded ' || r.amount || ' of ' || r.hold_id || ', booked '
               || COALESCE(SUM(p.delta), 0) AS detail
        FROM refunds r
        LEFT JOIN transactions t ON t.id = 'refund:' || r.id AND t.kind = 'refund' AND t.job_id = r.hold_id
        LEFT JOIN holds h ON h.id = r.hold_id
        LEFT JOIN postings p ON p.number = t.number
              AND p.account_id = 'available/' || h.unit || '/' || h.client_id
        GROUP BY r.id, r.amount, r.hold_id
        HAVING COALESCE(SUM(p.delta), 0) <> r.amount
        ORDER BY r.id""",
    "refund_transaction_has_refund": """
        SELECT t.id AS subject, 'no such refund' AS detail
        FROM transactions t
        LEFT JOIN refunds r ON t.id = 'refund:' || r.id
        WHERE t.kind = 'refund' AND r.id IS NULL
        ORDER BY t.number""",
    "grant_is_a_lot_if_it_says_so": f"""
        SELECT COALESCE(g.id, l.grant_id) AS subject,
               'granted with priority ' || COALESCE(g.priority, 0) || ', expiry ' || COALESCE(g.expire_ms, 0)
               || '; lot with priority ' || COALESCE(l.priority, 0) || ', expiry ' || COALESCE(l.expire_ms, 0) AS detail
        FROM grants g
        LEFT JOIN lots l ON l.grant_id = g.id
        WHERE CASE WHEN l.grant_id IS NULL THEN g.expire_ms IS NOT NULL OR g.priority > 0
              ELSE (g.expire_ms IS NULL AND g.priority = 0) OR l.client_id <> g.client_id OR l.unit <> g.unit
                   OR l.priority <> g.priority OR l.expire_ms <> COALESCE(g.expire_ms, {NEVER_MS}) END
        ORDER BY g.id""",  # noqa: S608  A number of ours.
    "lot_has_grant": """
        SELECT l.grant_id AS subject, 'no such grant' AS detail
        FROM lots l
        LEFT JOIN grants g ON g.id = l.grant_id
        WHERE g.id IS NULL
        ORDER BY l.grant_id""",
    "lot_equals_draws": """
        SELECT l.grant_id AS subject, 'remaining ' || l.remaining || ' of ' || g.amount || ', draws sum to '
               || COALESCE(s.total, 0) AS detail
        FROM lots l
        JOIN grants g ON g.id = l.grant_id
        LEFT JOIN (SELECT grant_id, SUM(delta) AS total FROM draws GROUP BY grant_id) s ON s.grant_id = l.grant_id
        WHERE l.remaining < 0 OR l.remaining <> g.amount + COALESCE(s.total, 0)
        ORDER BY l.grant_id""",
    "lots_are_available": """
        SELECT 'available/' || s.unit || '/' || s.client_id AS subject,
               'balance ' || COALESCE(a.balance, 0) || ', lots sum to ' || s.total AS detail
        FROM (SELECT client_id, unit, SUM(remaining) AS total FROM lots GROUP BY client_id, unit) s
        LEFT JOIN accounts a ON a.id = 'available/' || s.unit || '/' || s.client_id
        WHERE COALESCE(a.balance, 0) < s.total
        ORDER BY s.client_id, s.unit""",
    "lots_are_counted": """
        SELECT a.id AS subject, 'says that it had ' || a.lots || ' lots' AS detail
        FROM accounts a
        LEFT JOIN (SELECT client_id, unit, COUNT(*) AS lots FROM lots GROUP BY client_id, unit) s
               ON s.client_id = a.client_id AND s.unit = a.unit AND a.kind = 'available'
        WHERE a.lots <> COALESCE(s.lots, 0)
        ORDER BY a.id""",
    "draw_has_lot": """
        SELECT '#' || d.number || '/' || d.line AS subject, 'no lot ' || d.grant_id AS detail
        FROM draws d
        LEFT JOIN lots l ON l.grant_id = d.grant_id
        WHERE d.grant_id IS NOT NULL AND l.grant_id IS NULL
        ORDER BY d.number, d.line""",
    "draws_equal_posting": """
        SELECT COALESCE(t.id, '#' || s.number) AS subject,
               'draws sum to ' || s.total || ', the posting is ' || s.posted AS detail
        FROM (SELECT d.number, SUM(d.delta) AS total,
                     (SELECT COALESCE(SUM(p.delta), 0) FROM postings p
                      WHERE p.number = d.number AND p.account_id LIKE 'available/%') AS posted
              FROM draws d GROUP BY d.number) s
        LEFT JOIN transactions t ON t.number = s.number
        WHERE s.total <> s.posted OR t.number IS NULL
        ORDER BY s.number""",
    "draw_fits_its_transaction": """
        SELECT t.id AS subject, t.kind || ' of ' || t.client_id || ' moves ' || d.delta || ' of '
               || COALESCE(d.grant_id, 'the rest') AS detail
        FROM draws d
        JOIN transactions t ON t.number = d.number
        LEFT JOIN lots l ON l.grant_id = d.grant_id
        WHERE d.job_id <> t.job_id
           OR NOT CASE WHEN t.kind IN ('hold', 'adjust', 'expire') THEN d.delta < 0
                       WHEN t.kind IN ('capture', 'release', 'timeout', 'refund') THEN d.delta > 0
                       ELSE FALSE END
           OR (l.grant_id IS NOT NULL AND NOT EXISTS (
                   SELECT 1 FROM postings p
                   WHERE p.number = d.number AND p.account_id = 'available/' || l.unit || '/' || l.client_id))
        ORDER BY t.number, d.line""",
    "no_more_returns_than_drawn": """
        SELECT job_id AS subject, COALESCE(grant_id, 'the rest') || ' got back ' || SUM(delta)
               || ' more than it gave' AS detail
        FROM draws
        WHERE job_id <> ''
        GROUP BY job_id, grant_id
        HAVING SUM(delta) > 0
        ORDER BY job_id""",
    "expired_units_fit_their_lot": """
        SELECT t.id AS subject, COALESCE('lot ' || l.grant_id || ' expires at ' || l.expire_ms, 'of no lot')
               || ', taken away at ' || t.create_ms AS detail
        FROM transactions t
        LEFT JOIN draws d ON d.number = t.number
        LEFT JOIN lots l ON l.grant_id = d.grant_id
        WHERE t.kind = 'expire'
          AND (l.grant_id IS NULL OR t.create_ms < l.expire_ms
               OR SUBSTR(t.id, 1, LENGTH(l.grant_id) + 8) <> 'expire:' || l.grant_id || ':')
        ORDER BY t.number""",
}

_STATEMENTS: Final[dict[str, TextClause]] = {
    rule: text(f"{query} LIMIT {FAULTS_PER_RULE_MAX}") for rule, query in RULES.items()
}
_COUNTS: Final = text("""
    SELECT (SELECT COUNT(*) FROM transactions) AS transactions, (SELECT COUNT(*) FROM postings) AS postings,
           (SELECT COUNT(*) FROM accounts) AS accounts,
           (SELECT COUNT(*) FROM holds WHERE state = 'held') AS holds_open""")


def prove(connection: Connection) -> Proof:
    """Run every rule and return what breaks it, at most FAULTS_PER_RULE_MAX rows a rule."""
    faults = [
        Fault(rule=rule, subject=str(row.subject), detail=str(row.detail))
        for rule, statement in _STATEMENTS.items()
        for row in connection.execute(statement)
    ]
    counts = connection.execute(_COUNTS).one()
    return Proof(
        faults=tuple(faults),
        transactions=counts.transactions,
        postings=counts.postings,
        accounts=counts.accounts,
        holds_open=counts.holds_open,
    )
