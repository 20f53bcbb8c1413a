"""Protos to domain and back, and nowhere else."""
