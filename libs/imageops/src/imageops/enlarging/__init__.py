"""Making a picture larger: finer, or wider than it was."""
