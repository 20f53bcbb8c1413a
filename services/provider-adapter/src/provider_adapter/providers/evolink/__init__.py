"""EvoLink: pictures of the gpt-image models and films of Seedance, as tasks of one unified API."""

from provider_adapter.providers.evolink.options import Options
from provider_adapter.providers.evolink.provider import EvoLinkProvider
from provider_adapter.providers.remote.results import Results

__all__ = ["Options", "build"]


def build(options: Options, results: Results) -> EvoLinkProvider:
    """Return the provider, not started."""
    return EvoLinkProvider(options, results)
