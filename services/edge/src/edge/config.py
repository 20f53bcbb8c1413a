"""The edge's settings, from `EDGE_*` (and the house-wide `ATELIER_*`)."""

from typing import ClassVar, Final

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from kit.settings import ServiceSettings

JSON_BODY_BYTES_MAX: Final = 1024 * 1024  # The largest honest job request is a prompt and sixteen URLs: 50 KB.
FILE_BYTES_MAX: Final = 20 * 1024 * 1024  # One uploaded file; the gateway's tickets say the same.
UPLOAD_BODY_BYTES_MAX: Final = 100 * 1024 * 1024  # All files of one request together.
UPLOAD_FILES_MAX: Final = 16
UPLOAD_FIELDS_MAX: Final = 64
SHUTDOWN_GRACE_S: Final = 10.0  # What requests under way get when the process is asked to stop.


class EdgeSettings(ServiceSettings):
    """What the HTTP edge must know. `listen` is the gRPC address of other services and has no meaning here."""

    model_config = SettingsConfigDict(env_prefix="EDGE_")

    #: The address partners use and their zone are decisions for the deployment.
    HOUSE_WIDE: ClassVar[frozenset[str]] = ServiceSettings.HOUSE_WIDE | {"public_url", "timezone"}

    # Where HTTP is served. Port 0 takes a free one.
    http_host: str = "127.0.0.1"
    http_port: int = Field(8081, ge=0, le=65535)

    # Where the gateway, the asset store and a provider adapter (for the callbacks of providers) are:
    # `dns:///host:port`, or `local:<name>` in one process.
    gateway_target: str = "local:gateway"
    assets_target: str = "local:asset-store"
    providers_target: str = "local:provider-adapter"

    # How partners reach us, e.g. https://aigc.example.com; empty means the address of the request.
    public_url: str = ""

    # The zone of times that the points and signed contracts show without one.
    timezone: str = "Asia/Shanghai"

    # Proxies whose X-Forwarded-For and X-Forwarded-Proto are believed: addresses, comma separated, or *.
    forwarded_allow_ips: str = "127.0.0.1"

    # Connections served at once; more are answered 503.
    connections_max: int = Field(2000, ge=1)
