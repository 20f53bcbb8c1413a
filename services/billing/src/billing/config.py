"""Billing's settings: `BILLING_…` in the environment, read once."""

from typing import ClassVar

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from kit.settings import ServiceSettings


class BillingSettings(ServiceSettings):
    """See `ServiceSettings` for what every service has."""

    model_config = SettingsConfigDict(env_prefix="BILLING_")

    #: The calendar is a decision for the deployment, not for this service.
    HOUSE_WIDE: ClassVar[frozenset[str]] = ServiceSettings.HOUSE_WIDE | {"timezone"}

    # The calendar by which statements count days.
    timezone: str = "Asia/Shanghai"

    # Seconds between two checks of all books; 0 checks only when asked. A check reads every posting once, on a
    # connection of its own: writers do not wait for it.
    verify_interval_s: float = Field(3600.0, ge=0, le=30 * 86400)

    # The job orchestrator, `dns:///host:port` or `local:job-orchestrator`: asked by the sweeper what became of jobs.
    jobs_target: str = "local:job-orchestrator"

    # Seconds between two rounds of the sweeper. A round without due holds is one look at an index.
    sweep_interval_s: float = Field(5.0, ge=0.1, le=300)

    # Seconds after which the sweeper first asks after the job of an open hold. Longer than the gateway waits for a job
    # to be accepted (10 s), so that it does not fence a job that is just coming to be.
    orphan_grace_s: float = Field(30.0, ge=10, le=3600)
