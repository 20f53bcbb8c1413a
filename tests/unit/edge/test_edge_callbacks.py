"""What remote providers use of the edge: the place to call back, and links to inputs."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from atelier.assets.v1 import asset_pb2
from atelier.assets.v1 import asset_service_pb2 as assets_pb2
from atelier.providers.v1 import provider_service_pb2 as pb2
from edge.callbacks import BODY_BYTES_MAX, HEADERS_MAX
from kit.errors import AssetNotFound, DependencyUnavailable, NotFound, PermissionDenied, TicketInvalid

URL = "/callbacks/ark/att_1.0123"


async def test_callback_is_passed_on_as_it_came(front: Any) -> None:
    front.providers.answers = {"DeliverCallback": pb2.DeliverCallbackResponse()}
    headers = {"X-Fal-Webhook-Signature": "ab", "Cookie": "secret=1", **{f"x-{n}": "1" for n in range(100)}}
    answer = await front.http.post(URL, content=b'{"id": "cgt-1"}', headers=headers)
    assert (answer.status_code, answer.content) == (204, b"")
    [request] = front.providers.requests("DeliverCallback")
    assert (request.provider, request.token, request.body) == ("ark", "att_1.0123", b'{"id": "cgt-1"}')
    assert request.headers["x-fal-webhook-signature"] == "ab"
    assert "cookie" not in request.headers
    assert len(request.headers) == HEADERS_MAX


@pytest.mark.parametrize(
    ("error", "status"), [(NotFound(), 404), (PermissionDenied(), 403), (DependencyUnavailable(), 503)]
)
async def test_refusal_tells_nothing_and_what_is_away_is_asked_for_again(front: Any, error: Any, status: int) -> None:
    front.providers.answers = {"DeliverCallback": error}
    answer = await front.http.post(URL, content=b"{}")
    assert (answer.status_code, answer.text) == (status, "Refused." if status < 500 else "Unavailable.")


async def test_what_is_too_long_is_not_passed_on(front: Any) -> None:
    assert (await front.http.post(URL, content=bytes(BODY_BYTES_MAX + 1))).status_code == 413
    assert (await front.http.post(f"/callbacks/{'a' * 65}/t")).status_code == 404
    assert (await front.http.post(f"/callbacks/ark/{'t' * 129}")).status_code == 404
    assert front.providers.asked == []


async def test_input_is_read_by_its_ticket(front: Any) -> None:
    async def parts(request: Any) -> AsyncIterator[Any]:
        assert request.ticket == "ticket-1"
        yield assets_pb2.ReadAssetResponse(asset=asset_pb2.Asset(mime_type="image/png", size_bytes=6))
        yield assets_pb2.ReadAssetResponse(chunk=b"abc")
        yield assets_pb2.ReadAssetResponse(chunk=b"def")

    front.assets.ReadAsset = lambda request, **_: parts(request)
    answer = await front.http.get("/provider-inputs/ticket-1/input.png")
    assert (answer.status_code, answer.content) == (200, b"abcdef")
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["content-length"] == "6"
    assert answer.headers["cache-control"] == "private, no-store"


@pytest.mark.parametrize(
    ("error", "status"), [(TicketInvalid(), 404), (AssetNotFound(), 404), (DependencyUnavailable(), 503)]
)
async def test_wrong_links_to_inputs_all_look_the_same(front: Any, error: Exception, status: int) -> None:
    refusals = [error]

    async def parts() -> AsyncIterator[Any]:
        while refusals:
            raise refusals.pop()
        yield

    front.assets.ReadAsset = lambda request, **_: parts()
    answer = await front.http.get("/provider-inputs/ticket-1/input.png")
    assert answer.status_code == status
    assert answer.text == ("Not found." if status == 404 else "Unavailable.")
