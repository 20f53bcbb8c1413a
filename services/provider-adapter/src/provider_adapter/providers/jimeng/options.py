"""What an operator configures of Jimeng: the account's key pair, and where the API is."""

from typing import Final, Literal

from pydantic import AnyHttpUrl, Field

from provider_adapter.providers.remote.options import Credential, RemoteOptions

BASE_URL: Final = "https://visual.volcengineapi.com"
REGION: Final = "cn-north-1"


class Options(RemoteOptions):
    """One account. How many requests a second and tasks at once it may have is not published: see its console."""

    kind: Literal["jimeng"]
    base_url: AnyHttpUrl = AnyHttpUrl(BASE_URL)

    #: The access key id and its secret, as the console shows them; signatures are made of both.
    access_key: Credential
    secret_key: Credential

    #: Of temporary credentials (STS) only.
    session_token: Credential | None = None

    #: Part of every signature.
    region: str = Field(REGION, pattern=r"^[a-z0-9-]{1,64}$")
