"""What the asset store does, one verb a module."""
