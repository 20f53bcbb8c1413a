"""ComfyUI: graphs from files, filled in and queued on a server that the operator runs."""

from provider_adapter.providers.comfyui.options import Options
from provider_adapter.providers.comfyui.provider import ComfyUi, build

__all__ = ["ComfyUi", "Options", "build"]
