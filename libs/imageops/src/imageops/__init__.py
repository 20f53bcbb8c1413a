"""The local engine's operations: pure functions on images."""
