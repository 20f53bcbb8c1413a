"""What an operator configures of OpenAI, or of a server that speaks like it."""

from typing import Literal

from pydantic import AnyHttpUrl, Field

from provider_adapter.providers.remote.options import Credential, RemoteOptions


class Options(RemoteOptions):
    """One account."""

    kind: Literal["openai"]
    base_url: AnyHttpUrl = AnyHttpUrl("https://api.openai.com/v1")  #: With the version, as the vendor writes it.
    key: Credential  #: Of a server that asks for none: any text.
    organization: str = Field("", pattern=r"^[\x21-\x7e]*$")  #: Sent when it is not empty.
    project: str = Field("", pattern=r"^[\x21-\x7e]*$")

    #: Seconds until the picture is there: the answer comes with it. The job's deadline ends it sooner.
    work_s: float = Field(300.0, gt=0, le=3600)

    #: Models that take any width and height; all others make 1024x1024, 1536x1024 and 1024x1536.
    free_size_models: tuple[str, ...] = ("gpt-image-2", "gpt-image-2-2026-04-21")
