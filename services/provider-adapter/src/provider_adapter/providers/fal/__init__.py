"""fal: any of its models over the queue, called back over webhooks signed with Ed25519."""

from provider_adapter.providers.fal.options import Options
from provider_adapter.providers.fal.provider import Fal, build

__all__ = ["Fal", "Options", "build"]
