"""The provider adapter's settings: `PROVIDERS_…` in the environment, read once."""

from typing import ClassVar

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from kit.settings import ServiceSettings


class ProviderSettings(ServiceSettings):
    """See `ServiceSettings` for what every service has."""

    model_config = SettingsConfigDict(env_prefix="PROVIDERS_")

    HOUSE_WIDE: ClassVar[frozenset[str]] = ServiceSettings.HOUSE_WIDE | {"allow_private_targets", "public_url"}

    # Where the orchestrator and the asset store are: `dns:///host:port`, or `local:<name>` in one process.
    jobs_target: str = "local:job-orchestrator"
    assets_target: str = "local:asset-store"

    # A file that names remote providers and their options; empty for the local engine alone. docs/providers.md
    file: str = ""

    # Where partners and providers reach the edge, as in the edge's settings. Empty: no callbacks, and providers that
    # want links to their inputs cannot be used.
    public_url: str = ""

    # Addresses or CIDRs that results may be fetched from although they are private: GPU servers of the house.
    allow_private_targets: str = ""

    # Which queue this process works for; the catalogue says which model goes to which. A pool whose jobs run on the
    # local engine should not be shared with remote providers: those are leased by the hundred, and would wait here
    # for a core while other workers have one.
    pool: str = Field("default", pattern=r"^[a-z0-9-]{1,32}$")

    # Jobs in hand at once. None: as many as the providers may run, and one that waits with its inputs at hand.
    slots: int | None = Field(None, ge=1, le=100_000)

    # Seconds a lease lasts unless renewed; it is renewed at a third. A job of a worker that dies waits so long.
    lease_s: float = Field(30.0, ge=1, le=600)

    # Worker processes of the local engine. None: one a core. 0: this process calls remote providers only.
    engine_workers: int | None = Field(None, ge=0, le=256)

    # Memory one of them may have, in MiB. The largest upscale takes about 2 GiB.
    engine_memory_mib: int = Field(2048, ge=256)

    # Seconds one operation may take on the engine before it is stopped and tried again. The longest, 15 s of film at
    # 2520 x 1080 from ten photographs of 24 megapixels, takes 37 s of a core.
    engine_timeout_s: float = Field(300.0, gt=0, le=3600)
