"""Volcengine Ark: Seedance films as tasks, Seedream pictures in one call."""

from provider_adapter.providers.ark.options import Options
from provider_adapter.providers.ark.provider import Ark
from provider_adapter.providers.remote.results import Results

__all__ = ["Options", "build"]


def build(options: Options, results: Results) -> Ark:
    """Build the provider; it is not started."""
    return Ark(options, results)
