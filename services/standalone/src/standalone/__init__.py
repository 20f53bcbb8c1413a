"""Composes every service in one process: the embedded default, and the operator's CLI."""
