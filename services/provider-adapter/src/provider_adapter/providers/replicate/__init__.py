"""Replicate: predictions by any of its models, called back over signed webhooks."""

from provider_adapter.providers.replicate.options import Options
from provider_adapter.providers.replicate.provider import Replicate, build

__all__ = ["Options", "Replicate", "build"]
