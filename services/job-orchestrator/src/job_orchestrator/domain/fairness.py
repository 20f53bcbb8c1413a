"""Who gets the next free slot of a pool: start-time fair queueing over the clients' lanes.

Each client has a lane in each pool, and each lane a `pass`. The lane with ready jobs and the smallest pass is served,
and its pass grows by STRIDE / weight, so over time a lane of weight 3 gets three slots where one of weight 1 gets one.
The pool remembers the pass it served last; a lane that was idle starts there at the earliest, so that nobody saves up
credit while away.
"""

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

STRIDE: Final = 1 << 20  # Divisible by every sensible weight to within a millionth.


@dataclass(frozen=True, kw_only=True, slots=True)
class Lane:
    """One client's place in one pool."""

    client_id: str
    pass_: int
    weight: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """The jobs to hand out, in order, and what is to be remembered."""

    job_ids: tuple[str, ...]
    passes: dict[str, int]  #: New pass of each lane that was served.
    served_pass: int | None  #: The pass served last; None when nothing was.


def step(weight: int) -> int:
    """Return how far one slot moves a lane of this weight."""
    return STRIDE // max(1, weight)


def plan(lanes: Sequence[Lane], next_job: Callable[[str], str | None], slots: int) -> Plan:
    """Share out up to `slots` slots.

    `lanes` are those with ready jobs, by pass; the first `slots` of them are enough, because no other can be served
    before each of these was. `next_job(client_id)` gives that lane's next job, None when it has no more.
    """
    heap = [(lane.pass_, lane.client_id, lane.weight) for lane in lanes]
    heapq.heapify(heap)
    job_ids: list[str] = []
    passes: dict[str, int] = {}
    served_pass: int | None = None
    while heap and len(job_ids) < slots:
        pass_, client_id, weight = heap[0]
        job_id = next_job(client_id)
        if job_id is None:
            heapq.heappop(heap)
            continue
        job_ids.append(job_id)
        served_pass = pass_
        passes[client_id] = pass_ + step(weight)
        heapq.heapreplace(heap, (passes[client_id], client_id, weight))
    return Plan(job_ids=tuple(job_ids), passes=passes, served_pass=served_pass)
