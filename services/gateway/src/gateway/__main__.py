"""`python -m gateway`: the gateway as a process of its own."""

from gateway.config import GatewaySettings
from gateway.main import NAME, Gateway
from kit.service import serve

serve(GatewaySettings(), Gateway, name=NAME, package="gateway")
