"""The gateway's settings, from `GATEWAY_*` (and the house-wide `ATELIER_*` and `ZHINIAN_*`)."""

from pathlib import Path
from typing import ClassVar, Final

from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import SettingsConfigDict

from kit.settings import ServiceSettings

VAULT_SECRET_CHARS_MIN: Final = 32


class GatewaySettings(ServiceSettings):
    """What the front door must know."""

    model_config = SettingsConfigDict(env_prefix="GATEWAY_", populate_by_name=True)

    #: These are decisions for the deployment, not for this service.
    HOUSE_WIDE: ClassVar[frozenset[str]] = ServiceSettings.HOUSE_WIDE | {
        "allow_private_targets",
        "jwt_secret",
        "timezone",
    }

    # The folder with the model catalogue's YAML files.
    catalog_dir: Path = Path("deploy/catalog")

    # The moderation word list, one word a line; empty moderates nothing here.
    moderation_words: Path | None = None

    # A moderation service: gets POST {"texts": [...]} and answers {"refused": true|false}; empty asks nobody. While it
    # is away nothing that it should judge is accepted.
    moderation_url: str = ""

    # Where the orchestrator, billing and the asset store are: `dns:///host:port`, or `local:<name>` in one process.
    jobs_target: str = "local:job-orchestrator"
    billing_target: str = "local:billing"
    assets_target: str = "local:asset-store"

    # Hashes API keys and encrypts the secrets of signed apps. At least 32 characters; a change invalidates every
    # credential.
    vault_secret: SecretStr = Field(min_length=VAULT_SECRET_CHARS_MIN)

    # The calendar by which daily quotas are counted.
    timezone: str = "Asia/Shanghai"

    # Checks the points contract's HS256 tokens; without it they are refused.
    jwt_secret: SecretStr | None = None

    # Where an issuer publishes its keys (JWKS) for RS256 and ES256 tokens; empty refuses them.
    jwks_url: str = ""

    # Demanded of every token where not empty.
    jwt_issuer: str = ""
    jwt_audience: str = ""

    # API keys of the open contract by client: `partner-a:key-a,partner-b:key-b`. Such a client needs no other set-up.
    zhinian_api_keys: SecretStr = Field(
        SecretStr(""), validation_alias=AliasChoices("ZHINIAN_API_KEYS", "GATEWAY_ZHINIAN_API_KEYS")
    )

    # Signs webhooks; without it they are sent unsigned.
    zhinian_webhook_secret: SecretStr | None = Field(
        None, validation_alias=AliasChoices("ZHINIAN_WEBHOOK_SECRET", "GATEWAY_ZHINIAN_WEBHOOK_SECRET")
    )

    # Addresses or CIDRs the wall lets webhooks through to, comma separated.
    allow_private_targets: str = ""

    def configured_keys(self) -> dict[str, str]:
        """`zhinian_api_keys` as key → client id. Raises ValueError for a part that is not `client:key`."""
        keys: dict[str, str] = {}
        for part in filter(None, (part.strip() for part in self.zhinian_api_keys.get_secret_value().split(","))):
            client_id, separator, key = part.partition(":")
            if not (client_id and separator and key):
                raise ValueError("ZHINIAN_API_KEYS must look like partner-a:key-a,partner-b:key-b")
            keys[key] = client_id
        return keys
