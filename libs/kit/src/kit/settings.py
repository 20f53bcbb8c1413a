"""The settings every service has; each service adds its own in its `config.py`.

    class BillingSettings(ServiceSettings):
        model_config = SettingsConfigDict(env_prefix="BILLING_")

The environment is read once, when the object is made (`BillingSettings()`), and never again: the object is frozen and
passed in, never imported. `BILLING_LOG_LEVEL` beats `ATELIER_LOG_LEVEL`, which beats the default.
"""

import os
from typing import Any, ClassVar, Final, Literal

from pydantic import Field, SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from kit.identity import SECRET_CHARS_MIN

HOUSE_PREFIX: Final = "ATELIER_"


class ServiceSettings(BaseSettings):
    """What two or more services must know; every field has a safe default or is refused at the start."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    #: Fields that `ATELIER_<NAME>` sets for all services of a deployment at once. Addresses and databases are not
    #: among them: two services must never share one.
    HOUSE_WIDE: ClassVar[frozenset[str]] = frozenset(
        {"internal_secret", "events_url", "log_level", "log_format", "reflection"}
    )

    # Where the gRPC server listens, `host:port`. Port 0 takes a free one (tests, local stack).
    listen: str = "127.0.0.1:0"

    # The service's own database, `sqlite:////path/file.db` or `postgresql://user:password@host:port/name`.
    # Empty for a service that keeps nothing. Not shown when the object is printed: it may hold a password.
    database_url: str = Field("", repr=False)

    # Where events go: `local` (this process only) or `nats://host:port`. Not printed, for the same reason.
    events_url: str = Field("local", repr=False)

    # Shared by all services of a deployment; signs identities and tickets. At least 32 characters.
    internal_secret: SecretStr = Field(min_length=SECRET_CHARS_MIN)

    # The least severe events that are written.
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    # `json`: one object a line, for machines. `console`: coloured, for people.
    log_format: Literal["json", "console"] = "json"

    # Whether the server describes its RPCs to anybody who asks. Off in production.
    reflection: bool = False

    # Where Prometheus finds the metrics, `host:port`; empty serves none.
    metrics_listen: str = ""

    # Seconds between "not serving" on the health check and refusing calls, so that load balancers look
    # elsewhere first. 5 s suits Kubernetes; nobody watches a single process.
    drain_wait_s: float = Field(0.0, ge=0, le=60)

    # Seconds that running calls get to finish when the service stops.
    stop_grace_s: float = Field(10.0, ge=0, le=600)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments beat the service's variables, which beat the house's, which beat secret files."""
        return init_settings, env_settings, _HouseSource(settings_cls), dotenv_settings, file_secret_settings


class _HouseSource(PydanticBaseSettingsSource):
    """Reads the house-wide fields from variables that carry the house's prefix."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        house_wide: frozenset[str] = getattr(self.settings_cls, "HOUSE_WIDE", frozenset())
        if field_name not in house_wide:
            return None, field_name, False
        return os.environ.get(HOUSE_PREFIX + field_name.upper()), field_name, False

    def __call__(self) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for name, field in self.settings_cls.model_fields.items():
            value, key, _ = self.get_field_value(field, name)
            if value is not None:
                values[key] = value
        return values
