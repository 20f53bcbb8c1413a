"""The ports on SQLite and Postgres: tables, rows and one file of statements for each port."""

from job_orchestrator.sql.admission import SqlAdmission
from job_orchestrator.sql.jobs import SqlJobs
from job_orchestrator.sql.journal import SqlJournal
from job_orchestrator.sql.lists import SqlLists
from job_orchestrator.sql.overdue import SqlOverdue
from job_orchestrator.sql.queue import SqlQueue

__all__ = ["SqlAdmission", "SqlJobs", "SqlJournal", "SqlLists", "SqlOverdue", "SqlQueue"]
