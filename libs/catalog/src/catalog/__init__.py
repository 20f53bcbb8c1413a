"""Loads and checks the model catalogue; validates parameters and prices requests."""
