"""SuChuang (速创): pictures and films of several model families, each with its own addresses and words."""

from provider_adapter.providers.remote.results import Results
from provider_adapter.providers.suchuang.options import Options
from provider_adapter.providers.suchuang.provider import SuChuangProvider

__all__ = ["Options", "build"]


def build(options: Options, results: Results) -> SuChuangProvider:
    """Return the provider, not started."""
    return SuChuangProvider(options, results)
