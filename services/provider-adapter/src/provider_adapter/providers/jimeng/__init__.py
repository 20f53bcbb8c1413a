"""即梦 Jimeng on Volcengine visual: pictures, repainting, enlarging and films, by signed requests and polling."""

from provider_adapter.providers.jimeng.options import Options
from provider_adapter.providers.jimeng.provider import JimengProvider
from provider_adapter.providers.remote.results import Results

__all__ = ["Options", "build"]


def build(options: Options, results: Results) -> JimengProvider:
    """Build the provider of one entry of the providers' file."""
    return JimengProvider(options, results)
