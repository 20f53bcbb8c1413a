"""The nouns of the job orchestrator and their invariants; no I/O, no clock, no random numbers."""
