"""`python -m standalone`: the same as the `atelier` command."""

from standalone.cli import main

main()
