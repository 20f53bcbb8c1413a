"""AUTOMATIC1111 and Forge, run by the operator: pictures by a prompt, after a picture, within a mask, and enlarging."""

from provider_adapter.providers.a1111.options import Options
from provider_adapter.providers.a1111.provider import A1111Provider
from provider_adapter.providers.remote.results import Results

__all__ = ["Options", "build"]


def build(options: Options, results: Results) -> A1111Provider:
    """Build the provider of one entry of the providers' file."""
    return A1111Provider(options, results)
