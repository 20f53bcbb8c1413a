"""Requests that no honest client sends, made from honest ones: the same seed makes the same bytes."""

from testkit.fuzzing.draft import Draft, File
from testkit.fuzzing.mutations import mutated
from testkit.fuzzing.wire import Answer, Wire

__all__ = ["Answer", "Draft", "File", "Wire", "mutated"]
