"""Taking off a picture what does not belong to it: marks, weave, stones, grain."""
