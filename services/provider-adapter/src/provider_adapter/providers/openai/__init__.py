"""OpenAI Images and servers that speak like it: pictures by a prompt, after pictures, and within a mask."""

from provider_adapter.providers.openai.options import Options
from provider_adapter.providers.openai.provider import OpenaiProvider
from provider_adapter.providers.remote.results import Results

__all__ = ["Options", "build"]


def build(options: Options, results: Results) -> OpenaiProvider:
    """Build the provider of one entry of the providers' file."""
    return OpenaiProvider(options, results)
