"""What an operator configures of an EvoLink account."""

from collections.abc import Mapping
from typing import Literal

from pydantic import AnyHttpUrl, Field

from provider_adapter.providers.remote.options import Credential, RemoteOptions


class Options(RemoteOptions):
    """One account."""

    kind: Literal["evolink"]
    base_url: AnyHttpUrl = AnyHttpUrl("https://api.evolink.ai")
    key: Credential

    #: Picture models beyond the documented names, each with the documented one whose fields it has.
    image_models: Mapping[str, Literal["gpt-image-2", "gpt-image-1.5", "gpt-4o-image"]] = Field(default_factory=dict)
