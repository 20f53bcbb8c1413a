"""Stateless workers: lease a job, run it on a provider, store the outputs, report."""
