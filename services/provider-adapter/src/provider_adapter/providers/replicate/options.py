"""What an operator configures of a Replicate account.

providers:
  - name: replicate
    kind: replicate
    token: {env: REPLICATE_API_TOKEN}
    webhook_secret: {env: REPLICATE_WEBHOOK_SECRET}
    capabilities: [image.generate, image.upscale]
"""

from typing import Literal

from pydantic import AnyHttpUrl, Field

from provider_adapter.providers.remote.options import Credential
from provider_adapter.providers.remote.permodel import PerModelOptions


class Options(PerModelOptions):
    """One account."""

    kind: Literal["replicate"]
    base_url: AnyHttpUrl = AnyHttpUrl("https://api.replicate.com")

    token: Credential

    #: The account's own (`whsec_…`), from `GET /v1/webhooks/default/secret`. Without it no webhook is asked for.
    webhook_secret: Credential | None = None

    #: Ten a second, the create limit that is commonly given (600 a minute).
    submits_per_second: float = Field(10.0, gt=0, le=10_000)
