"""The OpenAPI documents of the edge."""

from edge.open.openapi import document

__all__ = ["document"]
