"""The adapter's verbs: work (lease, run, store, report), and what that takes."""
