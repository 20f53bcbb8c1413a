"""Pixels to outlines."""
