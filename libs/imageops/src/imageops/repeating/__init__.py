"""Patterns: pictures that repeat, and the print of a garment."""
