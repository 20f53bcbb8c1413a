"""`python -m gateway`: the gateway as a process of its own."""

from kit.service import serve

from gateway.config import GatewaySettings
from gateway.main import NAME, Gateway

serve(GatewaySettings(), Gateway, name=NAME, package="gateway")
