"""`python -m provider_adapter`: the provider adapter as a process of its own."""

from provider_adapter.main import main

main()
