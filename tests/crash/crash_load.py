"""Partners at work while the house is being killed, and the diary of what they were told.

A diary is the only thing that a crash may never contradict: whatever was answered stays true. Everything that was not
answered is repeated where the contract makes that safe (an Idempotency-Key), and otherwise left open.
"""

import asyncio
import hashlib
import io
import random
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
from PIL import Image

from testkit.openclient import TERMINAL, OpenClient

UNFINISHED_MAX: Final = 12  # Of one partner: the house is never idle, and soon quiet once nobody asks any more.
HANDS: Final = 3  # Requests at once of one partner.
PAUSE_S: Final = 0.02  # Between two requests of one hand.
AWAY_PAUSE_S: Final = 0.1  # Until the next try while nobody answers.
ANSWER_TIMEOUT_S: Final = 600.0  # For a retry that has to bridge many restarts on a machine with other work.
SIDES: Final = (64, 72, 96)

#: The service is there, and what it needs is not: the very same call will do later.
AWAY: Final = frozenset({502, 503, 504})

Body = dict[str, Any]


@dataclass
class Diary:
    """What one partner was told."""

    client_id: str
    jobs: dict[str, list[str]] = field(default_factory=dict)  #: Answered submits → the statuses seen, in order.
    keys: dict[str, set[str]] = field(default_factory=dict)  #: Idempotency key → the jobs it was answered with.
    cancels: set[str] = field(default_factory=set)  #: Jobs for which a cancel was asked, answered or not.
    uploads: dict[str, str] = field(default_factory=dict)  #: Answered uploads → SHA-256.
    deletions: dict[str, bool] = field(default_factory=dict)  #: Deletes asked for → answered.
    contradictions: list[str] = field(default_factory=list)  #: Answers that deny an earlier one.
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def unfinished(self) -> list[str]:
        """Jobs that were not seen to end."""
        return [job_id for job_id, seen in self.jobs.items() if seen[-1] not in TERMINAL]

    @property
    def succeeded(self) -> list[str]:
        """Jobs that were seen to succeed."""
        return [job_id for job_id, seen in self.jobs.items() if seen[-1] == "succeeded"]

    def saw(self, job: Body) -> None:
        """Note a job's status; what has ended stays as it ended."""
        job_id, status = job["id"], job["status"]
        seen = self.jobs.setdefault(job_id, [status])
        if seen[-1] == status:
            return
        if seen[-1] in TERMINAL:
            # Two answers may overtake each other on their way; only another end is a contradiction.
            if status in TERMINAL:
                self.contradict(f"{job_id} was {seen[-1]} and is {status}")
            return
        seen.append(status)

    def contradict(self, what: str) -> None:
        self.contradictions.append(what)


class Unanswered(Exception):
    """Nobody knows whether the request was heard."""


class Partner:
    """One client of the open contract with several hands."""

    def __init__(self, partner: OpenClient, rng: random.Random, *, webhook_url: str = "") -> None:
        """`partner` stays the caller's. `webhook_url` goes with every job."""
        assert partner.client_id, "the diary is about somebody"
        self.open = partner
        self.diary = Diary(partner.client_id)
        self._rng = rng
        self._webhook = {"webhookUrl": webhook_url} if webhook_url else {}
        self._stopping = False
        self._hands: list[asyncio.Task[None]] = []
        self._actions: Sequence[tuple[Callable[[], Awaitable[None]], int]] = (
            (self._submit, 4),
            (self._submit_with_key, 4),
            (self._upload_and_upscale, 3),
            (self._cancel, 1),
            (self._poll, 6),
            (self._list, 1),
            (self._download, 2),
            (self._upload_and_delete, 2),
        )

    def start(self) -> None:
        """Begin to ask."""
        self._hands = [asyncio.create_task(self._work()) for _ in range(HANDS)]

    async def stop(self) -> None:
        """Finish what is begun, retries included, and ask no more. Raises what broke a hand."""
        self._stopping = True
        await asyncio.gather(*self._hands)

    async def abandon(self) -> None:
        """Let go of everything at once."""
        for hand in self._hands:
            hand.cancel()
        await asyncio.gather(*self._hands, return_exceptions=True)

    async def _work(self) -> None:
        actions, weights = zip(*self._actions, strict=True)
        while not self._stopping:
            action = self._rng.choices(actions, weights)[0]
            if action.__name__.startswith(("_submit", "_upload_and_upscale")):
                action = action if len(self.diary.unfinished) < UNFINISHED_MAX else self._poll
            try:
                await action()
            except Unanswered:
                await asyncio.sleep(AWAY_PAUSE_S)
            await asyncio.sleep(PAUSE_S)

    # Asking

    async def _ask(self, method: str, path: str, *, expected: Sequence[int] = (), **options: Any) -> httpx.Response:
        """Return a success or an answer with an expected status. Raises Unanswered."""
        try:
            response = await self.open.http.request(method, f"/api/v1{path}", **options)
        except httpx.TransportError as error:
            self.diary.counts["connections broken"] += 1
            raise Unanswered from error
        if response.status_code in AWAY:
            self.diary.counts["told to come later"] += 1
            raise Unanswered
        self.diary.counts["answers"] += 1
        if not response.is_success and response.status_code not in expected:
            self.diary.contradict(f"{method} {path}: {response.status_code} {response.text[:300]}")
            raise Unanswered
        return response

    async def _submit(self) -> None:
        response = await self._ask("POST", "/jobs", json=self._generation())
        self._accepted(response)

    async def _submit_with_key(self) -> None:
        body, key = self._generation(), f"key-{uuid.UUID(int=self._rng.getrandbits(128), version=4)}"
        first = await self._insist("POST", "/jobs", json=body, headers={"idempotency-key": key})
        self._accepted(first, key)
        if self._rng.random() < 0.4:
            again = await self._insist("POST", "/jobs", json=body, headers={"idempotency-key": key})
            if not again.json()["reused"]:
                self.diary.contradict(f"{key} was answered before and made another job")
            self._accepted(again, key)

    async def _insist(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Ask until there is an answer, as a partner does whose connection broke."""
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            while True:
                try:
                    return await self._ask(method, path, **options)
                except Unanswered:
                    self.diary.counts["retries"] += 1
                    await asyncio.sleep(AWAY_PAUSE_S)

    def _accepted(self, response: httpx.Response, key: str = "") -> None:
        job = response.json()["job"]
        self.diary.saw(job)
        if key:
            self.diary.keys.setdefault(key, set()).add(job["id"])

    async def _upload_and_upscale(self) -> None:
        asset_id = await self._upload()
        body = {"capability": "image.upscale", "inputAssetIds": [asset_id], "scale": 2, **self._webhook}
        self._accepted(await self._ask("POST", "/jobs", json=body))

    async def _upload_and_delete(self) -> None:
        asset_id = await self._upload()
        self.diary.deletions[asset_id] = False
        await self._ask("DELETE", f"/assets/{asset_id}")
        self.diary.deletions[asset_id] = True

    async def _upload(self) -> str:
        data = _picture(self._rng)
        response = await self._ask("POST", "/assets", files=[("files", ("picture.png", data))])
        [record] = response.json()["assets"]
        sha256 = hashlib.sha256(data).hexdigest()
        if record["sha256"] != sha256:
            self.diary.contradict(f"{record['id']} has another SHA-256 than what was sent")
        self.diary.uploads[record["id"]] = sha256
        return str(record["id"])

    async def _cancel(self) -> None:
        job_id = self._one_of(self.diary.unfinished)
        if job_id:
            self.diary.cancels.add(job_id)
            response = await self._ask("POST", f"/jobs/{job_id}/cancel", expected=(409,))
            if response.is_success:
                self.diary.saw(response.json()["job"])

    async def _poll(self) -> None:
        job_id = self._one_of(self.diary.unfinished or list(self.diary.jobs))
        if job_id:
            self.diary.saw((await self._ask("GET", f"/jobs/{job_id}")).json()["job"])

    async def _list(self) -> None:
        for job in (await self._ask("GET", "/jobs", params={"limit": 50})).json()["jobs"]:
            if job["id"] in self.diary.jobs:
                self.diary.saw(job)

    async def _download(self) -> None:
        job_id = self._one_of(self.diary.succeeded)
        if not job_id:
            return
        job = (await self._ask("GET", f"/jobs/{job_id}")).json()["job"]
        for asset_id in job["outputAssetIds"]:
            record = (await self._ask("GET", f"/assets/{asset_id}")).json()["asset"]
            data = (await self._ask("GET", f"/assets/{asset_id}/download")).content
            if hashlib.sha256(data).hexdigest() != record["sha256"]:
                self.diary.contradict(f"{asset_id} of {job_id} came as other bytes than its record says")

    def _one_of(self, job_ids: Sequence[str]) -> str:
        return self._rng.choice(job_ids) if job_ids else ""

    def _generation(self) -> Body:
        return {
            "capability": "image.generate",
            "prompt": f"雪山 {self._rng.getrandbits(32)}",
            "width": self._rng.choice(SIDES),
            "height": self._rng.choice(SIDES),
            **self._webhook,
        }


class Load:
    """All partners together."""

    def __init__(self, partners: Sequence[Partner]) -> None:
        self.partners = partners

    def __iter__(self) -> Iterator[Partner]:
        return iter(self.partners)

    async def __aenter__(self) -> "Load":
        for partner in self.partners:
            partner.start()
        return self

    async def __aexit__(self, *_error: object) -> None:
        await asyncio.gather(*(partner.abandon() for partner in self.partners))

    async def stop(self) -> None:
        """Let every partner finish what it has begun."""
        await asyncio.gather(*(partner.stop() for partner in self.partners))

    @property
    def diaries(self) -> list[Diary]:
        return [partner.diary for partner in self.partners]


def _picture(rng: random.Random) -> bytes:
    side = rng.choice(SIDES)
    picture = Image.frombytes("RGB", (side, side), rng.randbytes(side * side * 3))
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()
