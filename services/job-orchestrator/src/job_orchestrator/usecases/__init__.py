"""The verbs of the job orchestrator, one a file."""
