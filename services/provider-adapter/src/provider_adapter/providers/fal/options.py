"""What an operator configures of a fal account.

providers:
  - name: fal
    kind: fal
    key: {env: FAL_KEY}
    capabilities: [image.generate, video.generate]
    models: [fal-ai/flux/dev]
"""

from typing import Annotated, Literal

from pydantic import AnyHttpUrl, Field

from provider_adapter.providers.remote.options import Credential
from provider_adapter.providers.remote.permodel import PerModelOptions

MODEL_PATTERN = r"^[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*){1,5}$"
Model = Annotated[str, Field(pattern=MODEL_PATTERN, max_length=150)]


class Options(PerModelOptions):
    """One account."""

    kind: Literal["fal"]
    base_url: AnyHttpUrl = AnyHttpUrl("https://queue.fal.run")

    key: Credential

    #: The models that the catalogue's routes name. A webhook names none, so only these (and those that this process has
    #: called) can be asked after a task whose submit's answer was lost.
    models: tuple[Model, ...] = Field((), max_length=100)

    #: Where the keys are that webhooks are signed with; a path is one of `base_url`'s.
    keys_url: str = Field("https://rest.fal.ai/.well-known/jwks.json", pattern=r"^(https?://|/)[^\s]+$")
