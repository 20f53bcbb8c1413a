"""The three services over the contract: they translate, use-cases decide."""

from job_orchestrator.api.admin_service import JobAdminService
from job_orchestrator.api.job_service import JobService
from job_orchestrator.api.lease_service import LeaseService

__all__ = ["JobAdminService", "JobService", "LeaseService"]
