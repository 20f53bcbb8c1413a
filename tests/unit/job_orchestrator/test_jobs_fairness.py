"""Who gets the next slot: shares by weight, no waiting behind a crowd, no saved-up credit."""

from collections import Counter

import pytest

from job_orchestrator.domain.fairness import STRIDE, Lane, plan, step


class Pool:
    """The queue as the tables keep it, in memory: lanes, passes and what was served last."""

    def __init__(self) -> None:
        self.lanes: dict[str, Lane] = {}
        self.waiting: dict[str, int] = {}
        self.served_pass = 0

    def arrive(self, client_id: str, jobs: int, *, weight: int = 1) -> None:
        lane = self.lanes.get(client_id)
        pass_ = lane.pass_ if lane is not None else 0
        if self.waiting.get(client_id, 0) == 0:
            pass_ = max(pass_, self.served_pass)
        self.lanes[client_id] = Lane(client_id=client_id, pass_=pass_, weight=weight)
        self.waiting[client_id] = self.waiting.get(client_id, 0) + jobs

    def serve(self, slots: int) -> list[str]:
        left = dict(self.waiting)

        def next_job(client_id: str) -> str | None:
            if left[client_id] == 0:
                return None
            left[client_id] -= 1
            return client_id

        lanes = sorted((self.lanes[name] for name, jobs in self.waiting.items() if jobs), key=lambda lane: lane.pass_)
        done = plan(lanes[:slots], next_job, slots)
        self.waiting = left
        for client_id, pass_ in done.passes.items():
            self.lanes[client_id] = Lane(client_id=client_id, pass_=pass_, weight=self.lanes[client_id].weight)
        if done.served_pass is not None:
            self.served_pass = done.served_pass
        return list(done.job_ids)


def test_the_first_job_of_a_client_is_not_delayed_by_ten_thousand_of_another() -> None:
    pool = Pool()
    pool.arrive("crowd", 10_000)
    pool.serve(500)
    pool.arrive("newcomer", 1)
    assert "newcomer" in pool.serve(2)


@pytest.mark.parametrize("slots", [1, 3, 4, 7, 64])
def test_weights_three_to_one_give_three_to_one_however_slots_come(slots: int) -> None:
    pool = Pool()
    pool.arrive("heavy", 5_000, weight=3)
    pool.arrive("light", 5_000, weight=1)
    served: Counter[str] = Counter()
    while sum(served.values()) < 4_000:
        served.update(pool.serve(slots))
    total = sum(served.values())
    assert abs(served["heavy"] - total * 3 / 4) <= 2


@pytest.mark.parametrize("clients", [2, 5, 40])
def test_equal_clients_get_equal_shares(clients: int) -> None:
    pool = Pool()
    for number in range(clients):
        pool.arrive(f"client-{number}", 1_000)
    served = Counter(client_id for _ in range(100) for client_id in pool.serve(clients // 2 + 1))
    assert max(served.values()) - min(served.values()) <= 1


def test_a_client_that_comes_back_has_neither_credit_nor_debt() -> None:
    pool = Pool()
    pool.arrive("steady", 1_000)
    pool.arrive("sometimes", 1)
    pool.serve(400)
    pool.arrive("sometimes", 100)
    served = Counter(client_id for _ in range(100) for client_id in pool.serve(1))
    assert abs(served["steady"] - served["sometimes"]) <= 1

    alone = Pool()
    alone.arrive("first", 300)
    alone.serve(300)
    alone.arrive("second", 100)
    alone.arrive("first", 100)
    served = Counter(client_id for _ in range(100) for client_id in alone.serve(1))
    assert abs(served["first"] - served["second"]) <= 2


def test_a_client_that_sends_one_job_at_a_time_waits_for_one_other_at_most() -> None:
    pool = Pool()
    pool.arrive("crowd", 1_000)
    for _ in range(50):
        pool.arrive("polite", 1)
        assert "polite" in pool.serve(2)


def test_no_slot_is_left_empty_while_anybody_waits() -> None:
    pool = Pool()
    pool.arrive("a", 3)
    pool.arrive("b", 50, weight=1000)
    assert Counter(pool.serve(60)) == {"a": 3, "b": 50}
    assert pool.serve(60) == []


def test_a_lane_without_jobs_is_passed_over() -> None:
    lanes = [Lane(client_id="empty", pass_=0, weight=1), Lane(client_id="full", pass_=5, weight=1)]
    done = plan(lanes, lambda client_id: "job" if client_id == "full" else None, 2)
    assert done.job_ids == ("job", "job")
    assert done.passes == {"full": 5 + 2 * STRIDE}
    assert done.served_pass == 5 + STRIDE


@pytest.mark.parametrize(("weight", "expected"), [(0, STRIDE), (1, STRIDE), (4, STRIDE // 4), (1000, STRIDE // 1000)])
def test_a_step_is_the_stride_divided_by_the_weight(weight: int, expected: int) -> None:
    assert step(weight) == expected
    assert step(weight) > 0
