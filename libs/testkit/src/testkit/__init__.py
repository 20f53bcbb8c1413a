"""Fakes, builders and local servers for tests."""
