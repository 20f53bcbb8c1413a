"""The job orchestrator's settings: `JOBS_…` in the environment, read once."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from kit.settings import ServiceSettings


class JobsSettings(ServiceSettings):
    """See `ServiceSettings` for what every service has."""

    model_config = SettingsConfigDict(env_prefix="JOBS_")

    # Billing, `dns:///host:port` or `local:billing`: asked to hold the price before a job is accepted.
    billing_target: str = "local:billing"

    # Jobs that may wait in one pool; beyond that new ones are refused with QUEUE_FULL. A hundred thousand pictures
    # are a day's work for a large deployment, and the queue stays fast up to there.
    queue_max: int = Field(100_000, ge=1)

    # Seconds between two rounds of the sweeper. A round that finds nothing looks at five indexes.
    sweep_interval_s: float = Field(1.0, ge=0.05, le=60)

    # Seconds that a worker has to heed a cancel before the job is taken from it. Longer than a third of a lease (10 s),
    # which is how often workers ask.
    cancel_grace_s: float = Field(30.0, ge=1, le=3600)

    # Seconds after which a waiting call looks for changes made by another replica. With one process every change is
    # heard at once, and this is only a safety net.
    recheck_s: float = Field(1.0, ge=0.05, le=60)

    # Finished jobs kept in memory for polling, 4 KB each on average; 0 keeps none.
    finished_jobs_max: int = Field(4096, ge=0)
