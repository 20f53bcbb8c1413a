"""What a check of the books found."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """One thing that is wrong."""

    rule: str  #: Which rule is broken, e.g. "transaction_sums_to_zero".
    subject: str  #: Which row breaks it.
    detail: str  #: What was expected and what is there.


@dataclass(frozen=True, kw_only=True, slots=True)
class Proof:
    """The result of a check: proven when no fault was found."""

    faults: tuple[Fault, ...]
    transactions: int
    postings: int
    accounts: int
    holds_open: int
    jobs: int = 0  #: Finished ones that were compared with the books.
    jobs_under_way: int = 0  #: Of those, ended a moment ago and being settled: no fault.
