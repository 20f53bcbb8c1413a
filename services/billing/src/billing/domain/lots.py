"""Lots: grants that expire or go first, and which of a wallet's units a movement takes or brings back.

Only such a grant is kept apart from the rest of its wallet. Whatever else is available is the rest: it has no priority
and never expires, so it is always spent last, and a wallet without lots knows nothing of all this.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from billing.domain.ledger import Account, AccountKind, Posting, Transaction, TransactionKind, fingerprint
from billing.domain.money import Unit

NEVER_MS: Final = 253_402_300_800_000  # The first moment of the year 10000, which no expiry can name.
RETURN_GRACE_MS: Final = 24 * 3_600_000  # Units that we held when their lot lapsed can be spent for a day.
#: No later than so long after the expiry, or units could be kept for ever by holding and cancelling again and again.
RETURN_GRACE_MAX_MS: Final = 7 * 24 * 3_600_000
REFUND_GRACE_MS: Final = 30 * 24 * 3_600_000  # Goodwill that were gone by tomorrow would be none.


@dataclass(frozen=True, kw_only=True, slots=True)
class Lot:
    """What is left of one grant that expires or has a priority."""

    grant_id: str
    client_id: str
    unit: Unit
    remaining: int
    expire_ms: int  #: NEVER_MS for one that only has a priority.
    lapse_ms: int  #: When the remaining units lapse: the expiry, later when units came back after it.
    lapses: int = 0  #: How often it lapsed: more than once when units came back.

    def lapsing(self) -> Transaction:
        """Return the transaction that takes away what is left."""
        number = self.lapses + 1
        available, lapsed = (
            Account(kind=kind, unit=self.unit, client_id=self.client_id)
            for kind in (AccountKind.AVAILABLE, AccountKind.LAPSED)
        )
        return Transaction(
            id=f"expire:{self.grant_id}:{number}",
            kind=TransactionKind.EXPIRE,
            client_id=self.client_id,
            input_hash=fingerprint("expire", self.grant_id, number, self.remaining),
            postings=(
                Posting(account=available, delta=-self.remaining),
                Posting(account=lapsed, delta=self.remaining),
            ),
            note=self.grant_id,
        )

    def lapse_after_return(self, kind: TransactionKind, *, now_ms: int) -> int:
        """Return when the lot lapses if units come back to it now by a transaction of `kind`."""
        if kind is TransactionKind.REFUND:
            return max(self.lapse_ms, min(now_ms + REFUND_GRACE_MS, NEVER_MS))
        if self.lapse_ms > now_ms:
            return self.lapse_ms
        return max(self.lapse_ms, min(now_ms + RETURN_GRACE_MS, self.expire_ms + RETURN_GRACE_MAX_MS))


@dataclass(frozen=True, kw_only=True, slots=True)
class Draw:
    """A part of a movement: `delta` units come to the lot of a grant, negative ones leave it."""

    grant_id: str | None  #: None is the rest of the wallet.
    delta: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Lapse:
    """What was left of a grant was taken away."""

    transaction_id: str
    grant_id: str
    client_id: str
    unit: Unit
    amount: int
    time_ms: int


def draw(lots: Sequence[Lot], amount: int) -> list[Draw]:
    """Take `amount` from the lots in their order, and what they lack from the rest; nothing when there are no lots."""
    draws: list[Draw] = []
    wanted = amount
    for lot in lots:
        part = min(wanted, lot.remaining)
        if part:
            draws.append(Draw(grant_id=lot.grant_id, delta=-part))
            wanted -= part
    if draws and wanted:
        draws.append(Draw(grant_id=None, delta=-wanted))
    return draws


def give_back(drawn: Sequence[Draw], amount: int) -> list[Draw]:
    """Bring `amount` back to where a job's units came from: what was drawn last comes back first.

    `drawn` is every draw of the job in the order of the books; what came back before is counted. Without draws the
    units came from the rest, and nothing is to be said.
    """
    missing: dict[str | None, int] = {}
    for one in drawn:
        missing[one.grant_id] = missing.get(one.grant_id, 0) - one.delta
    returns: list[Draw] = []
    left = amount
    for grant_id, most in reversed(missing.items()):
        part = min(left, most)
        if part > 0:
            returns.append(Draw(grant_id=grant_id, delta=part))
            left -= part
    if drawn and left:
        raise ValueError(f"{left} more units come back than were drawn")
    return returns
