"""Billing's settings: `BILLING_…` in the environment, read once."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from kit.settings import ServiceSettings


class BillingSettings(ServiceSettings):
    """See `ServiceSettings` for what every service has."""

    model_config = SettingsConfigDict(env_prefix="BILLING_")

    # The job orchestrator, `dns:///host:port` or `local:job-orchestrator`: asked by the sweeper what became of jobs.
    jobs_target: str = "local:job-orchestrator"

    # Seconds between two rounds of the sweeper. A round without due holds is one look at an index.
    sweep_interval_s: float = Field(5.0, ge=0.1, le=300)

    # Seconds after which the sweeper first asks after the job of an open hold. Longer than the gateway waits for a job
    # to be accepted (10 s), so that it does not fence a job that is just coming to be.
    orphan_grace_s: float = Field(30.0, ge=10, le=3600)
