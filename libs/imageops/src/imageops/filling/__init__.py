"""Filling holes in a picture with what surrounds them."""
