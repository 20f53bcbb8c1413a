"""The built-in engine: imageops in worker processes with limits, so that a bad job fails alone."""
