"""Which services may call what."""

from typing import Final

ASSETS: Final = "asset-store"
BILLING: Final = "billing"
GATEWAY: Final = "gateway"
OPERATOR: Final = "operator"  # The operator's command line.
STANDALONE: Final = "standalone"
WORKER: Final = "provider-adapter"

FRONT: Final = (GATEWAY, OPERATOR, STANDALONE)  # For a client, which the identity names.
WORKERS: Final = (WORKER,)
HOUSE: Final = (BILLING, ASSETS, GATEWAY, OPERATOR, STANDALONE)  # Over all clients.
