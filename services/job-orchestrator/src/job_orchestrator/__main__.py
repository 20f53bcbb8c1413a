"""`python -m job_orchestrator`: the job orchestrator as a process of its own."""

from job_orchestrator.main import main

main()
