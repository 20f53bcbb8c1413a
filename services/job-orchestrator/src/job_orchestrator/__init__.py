"""Jobs, attempts, idempotency, fair leasing, deadlines and the event log."""
