"""The asset store's settings: environment variables with the prefix `ASSETS_`."""

from pathlib import Path
from typing import ClassVar

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict

from kit.settings import ServiceSettings


class AssetStoreSettings(ServiceSettings):
    """Where bytes are kept, and what outside addresses may be fetched."""

    model_config = SettingsConfigDict(env_prefix="ASSETS_")

    #: These two are one decision for the deployment, not for this service.
    HOUSE_WIDE: ClassVar[frozenset[str]] = ServiceSettings.HOUSE_WIDE | {"allow_private_targets", "public_url"}

    # The folder that keeps the bytes, unless an S3 endpoint is set. One asset store owns all of it:
    # files that no record names are deleted.
    folder: Path = Path("data/assets")

    # Where uploads wait until they are judged, also when the bytes go to S3 then: a local folder that nobody else
    # writes to, with room for all uploads at once. Empty: `.incoming` in `folder`, where taking one over is a rename.
    spool: str = ""

    # "https://s3.example.com" or "http://host:9000" of an S3-compatible server; empty keeps the bytes in `folder`.
    s3_endpoint: str = ""

    # The bucket; made when it is missing.
    s3_bucket: str = "atelier-assets"

    # Before every key, e.g. "prod/". Objects below it that no record names are deleted, so two stores never share it.
    s3_prefix: str = Field("", pattern=r"^([A-Za-z0-9_-]+/)*$")

    # Credentials of the bucket.
    s3_access_key: SecretStr = SecretStr("")
    s3_secret_key: SecretStr = SecretStr("")

    # The bucket's region; empty asks the server.
    s3_region: str = ""

    # Whether the bucket's name goes into the path; false for servers that want it in the host name.
    s3_path_style: bool = True

    # PEM file with the authority that signed the server's certificate; empty trusts the public ones.
    s3_ca_file: str = ""

    # Where the orchestrator is: it is asked what became of a job whose last event did not come.
    jobs_target: str = "local:job-orchestrator"

    # Comma-separated addresses or CIDRs that may be fetched although they are private; for all clients alike.
    allow_private_targets: str = ""

    # The address partners use; URLs that lead to it are never fetched from outside.
    public_url: str = ""

    # How many decoder processes look into pictures at once.
    decoders: int = Field(2, ge=1, le=64)

    # Seconds between two looks for expired assets and leftovers.
    sweep_every_s: float = Field(60.0, gt=0)

    @model_validator(mode="after")
    def _complete(self) -> "AssetStoreSettings":
        if self.s3_endpoint and not (self.s3_access_key.get_secret_value() and self.s3_secret_key.get_secret_value()):
            raise ValueError("an S3 endpoint needs s3_access_key and s3_secret_key")
        return self
