"""The gateway's verbs, one a file."""
