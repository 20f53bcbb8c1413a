"""One folder a provider; nothing is imported here, so that a worker process starts with only what it runs."""
