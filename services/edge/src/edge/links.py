"""Public links: results for contracts whose documents promise a URL that needs no header."""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from atelier.assets.v1 import asset_service_pb2 as assets_pb2
from atelier.gateway.v1 import gateway_service_pb2 as pb2
from atelier.jobs.v1 import job_pb2
from edge import files
from edge.backend import CALL_TIMEOUT_S, Backend, Metadata
from edge.open.requests import own_asset_id
from kit.errors import AppError, AssetNotFound, http_status

PREFIX: Final = "/results"
RESULT: Final = re.compile(rf"{PREFIX}/([A-Za-z0-9]{{1,64}})(?:\.[a-z0-9]{{1,5}})?")
TOKENS_KEPT: Final = 50_000  # A link never changes; polls of finished jobs ask again and again.

_EXTENSIONS: Final = {
    "image/png": "png",
    "image/jpeg": "jpg",
    "image/webp": "webp",
    "image/gif": "gif",
    "application/postscript": "eps",
    "video/mp4": "mp4",
}


class Links:
    """Makes and opens links to outputs."""

    def __init__(self, backend: Backend, *, public_url: str) -> None:
        """`public_url` is how partners reach us; empty means the address of each request."""
        self._backend = backend
        self._public_url = public_url.rstrip("/")
        self._tokens: dict[str, str] = {}

    def base(self, request: HTTPConnection) -> str:
        """How partners reach us."""
        if self._public_url:
            return self._public_url
        return str(request.base_url).rstrip("/").replace("ws://", "http://", 1).replace("wss://", "https://", 1)

    async def resolve(self, inputs: Iterable[job_pb2.Input], base: str) -> None:
        """Put the asset in the place of each link of ours, so that it is never fetched over HTTP.

        Raises AssetNotFound, naming `inputs[i]`, for a link of ours that leads nowhere.
        """
        for index, one in enumerate(inputs):
            if not one.url.startswith(f"{base}/"):
                continue
            if asset_id := own_asset_id(one.url, base) or await self._linked(one.url.removeprefix(base), index):
                one.asset_id = asset_id

    async def _linked(self, path: str, index: int) -> str:
        """The asset that a public link of ours leads to; empty for another path."""
        link = RESULT.fullmatch(path)
        if link is None:
            return ""
        wanted = assets_pb2.OpenLinkRequest(token=link[1])
        try:
            return (await self._backend.assets.OpenLink(wanted, timeout=CALL_TIMEOUT_S)).asset.id
        except AppError as error:
            raise AssetNotFound(field=f"inputs[{index}]") if http_status(error.reason) < 500 else error from error

    async def urls(self, request: HTTPConnection, metadata: Metadata, outputs: Sequence[job_pb2.Output]) -> list[str]:
        """Links to a job's outputs, in order; the same output has the same link for ever.

        An output that its owner has deleted, or that was kept long enough, has none: the job is what it was.
        """
        tokens = await self.tokens(metadata, [output.asset_id for output in outputs])
        base = self.base(request)
        return [
            f"{base}{PREFIX}/{tokens[output.asset_id]}.{_EXTENSIONS.get(output.mime_type, 'bin')}"
            for output in outputs
            if output.asset_id in tokens
        ]

    async def tokens(self, metadata: Metadata, asset_ids: Sequence[str]) -> dict[str, str]:
        """The links' unguessable parts by asset; assets that are gone are left out."""
        found = {asset_id: self._tokens[asset_id] for asset_id in asset_ids if asset_id in self._tokens}
        unknown = [asset_id for asset_id in asset_ids if asset_id not in found]
        if unknown:
            wanted = pb2.LinkAssetsRequest(asset_ids=unknown)
            answer = await self._backend.gateway.LinkAssets(wanted, timeout=CALL_TIMEOUT_S, metadata=metadata)
            made = {asset_id: token for asset_id, token in zip(unknown, answer.tokens, strict=True) if token}
            if len(self._tokens) >= TOKENS_KEPT:
                self._tokens.clear()
            self._tokens.update(made)
            found |= made
        return found

    def routes(self) -> list[Route]:
        return [Route(f"{PREFIX}/{{name}}", self.open, methods=["GET"])]

    async def open(self, request: Request) -> Response:
        """Answer with the linked bytes; every wrong link looks the same."""
        token = request.path_params["name"].partition(".")[0]
        return await self.serve(request, token)

    async def serve(self, request: Request, token: str) -> Response:
        """Answer with the bytes behind a token, shown in the browser rather than saved."""
        try:
            wanted = assets_pb2.OpenLinkRequest(token=token[:64])
            opened = await self._backend.assets.OpenLink(wanted, timeout=CALL_TIMEOUT_S)
            return await files.download(self._backend, request, opened.asset, opened.ticket, inline=True)
        except AppError as error:
            return refusal(error)


def refusal(error: AppError) -> Response:
    """The answer to a link that leads nowhere, the same whatever is wrong with it, or cannot be followed now."""
    status = http_status(error.reason)
    return PlainTextResponse("Not found." if status < 500 else "Unavailable.", 404 if status < 500 else status)
