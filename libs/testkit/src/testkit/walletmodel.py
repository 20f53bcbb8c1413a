"""A wallet as a few integers: what the books are compared with. Written from the rules, not from the code."""

from dataclasses import dataclass, field

DAY_MS = 86_400_000
NEVER = float("inf")


@dataclass
class Lot:
    """Units that expire or go first."""

    id: str
    priority: int
    expire_ms: float
    made: int  #: Which lot of the wallet it is.
    left: int
    lapse_ms: float


@dataclass
class Wallet:
    """One client's units of one kind."""

    rest: int = 0
    held: int = 0
    spent: int = 0
    lapsed: int = 0
    lots: list[Lot] = field(default_factory=list)
    taken: dict[str, list[tuple[Lot | None, int]]] = field(default_factory=dict)  #: Job → where its units came from.

    @property
    def available(self) -> int:
        return self.rest + sum(lot.left for lot in self.lots)

    def pass_time(self, now_ms: int) -> None:
        for lot in self.lots:
            if lot.lapse_ms <= now_ms:
                self.lapsed, lot.left = self.lapsed + lot.left, 0

    def grant(self, id: str, value: int, *, priority: int, expire_ms: int | None) -> None:
        if expire_ms is None and priority == 0:
            self.rest += value
            return
        until = NEVER if expire_ms is None else expire_ms
        self.lots.append(Lot(id, priority, until, len(self.lots), value, until))

    def take(self, amount: int) -> list[tuple[Lot | None, int]]:
        parts: list[tuple[Lot | None, int]] = []
        for lot in sorted(self.lots, key=lambda lot: (-lot.priority, lot.expire_ms, lot.made)):
            part = min(amount, lot.left)
            lot.left -= part
            amount -= part
            parts += [(lot, part)] * (part > 0)
        self.rest -= amount
        return [*parts, (None, amount)]

    def hold(self, job: str, amount: int) -> None:
        self.taken[job] = self.take(amount)
        self.held += amount

    def settle(self, job: str, amount: int, captured: int, now_ms: int) -> None:
        self.held -= amount
        self.spent += captured
        self.bring_back(job, amount - captured, now_ms, grace_ms=DAY_MS, capped=True)

    def refund(self, job: str, amount: int, now_ms: int) -> None:
        self.spent -= amount
        self.bring_back(job, amount, now_ms, grace_ms=30 * DAY_MS, capped=False)

    def bring_back(self, job: str, amount: int, now_ms: int, *, grace_ms: int, capped: bool) -> None:
        """To where they came from, what was taken last first."""
        parts = self.taken[job]
        for place in range(len(parts) - 1, -1, -1):
            lot, most = parts[place]
            part = min(amount, most)
            amount -= part
            parts[place] = (lot, most - part)
            if lot is None:
                self.rest += part
            elif part:
                lot.left += part
                if not capped:
                    lot.lapse_ms = max(lot.lapse_ms, now_ms + grace_ms)
                elif lot.lapse_ms <= now_ms:
                    lot.lapse_ms = max(lot.lapse_ms, min(now_ms + grace_ms, lot.expire_ms + 7 * DAY_MS))
        self.pass_time(now_ms)  # Too late for any grace.
