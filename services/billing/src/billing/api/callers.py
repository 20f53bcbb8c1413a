"""Which services may call what."""

from typing import Final

GATEWAY: Final = "gateway"
JOBS: Final = "job-orchestrator"
OPERATOR: Final = "operator"  # The operator's command line.
STANDALONE: Final = "standalone"

OPERATORS: Final = (OPERATOR, STANDALONE, GATEWAY)  # The gateway makes the first grants of its clients.
SETTLERS: Final = (JOBS, *OPERATORS)
