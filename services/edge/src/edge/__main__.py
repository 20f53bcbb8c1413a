"""`python -m edge`: the HTTP edge as a process of its own."""

from edge.main import main

main()
