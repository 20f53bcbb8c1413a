"""The edge in OpenAPI 3.1: one document of everything at `/openapi.json`, composed of one file a contract.

Written by hand, held true by tests: its paths are compared with the routes, and schemathesis calls every operation.
"""

import functools

from edge.openapi import open_contract, points, service, signed, studio
from edge.openapi.parts import Json, compose

__all__ = ["document", "open_document"]


def document(url: str) -> Json:
    """Return the document of the whole edge with `url` as the server."""
    return {**_whole(), "servers": [{"url": url}]}


def open_document(url: str) -> Json:
    """Return the document of the open contract alone with `url` as the server."""
    return {**_open(), "servers": [{"url": url}]}


@functools.cache
def _whole() -> Json:
    parts = (open_contract.part(), points.part(), signed.part(), studio.part(), service.part())
    return compose(parts, title="Atelier", description="Image and video generation: four contracts, one house.")


@functools.cache
def _open() -> Json:
    return compose(
        [open_contract.part()],
        title="Atelier open API",
        description="Asynchronous image and video generation by API key.",
    )
