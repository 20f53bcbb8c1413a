"""What an operator configures of a ComfyUI server.

providers:
  - name: comfyui
    kind: comfyui
    base_url: http://gpu-1:8188
    graphs: /etc/atelier/comfyui       # own graphs; a name given there stands before ours
    running_max: 4
"""

from pathlib import Path
from typing import Literal

from pydantic import AnyHttpUrl, Field

from provider_adapter.providers.remote.options import Credential, RemoteOptions

Capability = Literal["image.generate", "image.inpaint", "image.upscale", "video.generate"]


class Options(RemoteOptions):
    """One ComfyUI server."""

    kind: Literal["comfyui"]
    base_url: AnyHttpUrl = AnyHttpUrl("http://127.0.0.1:8188")

    #: Its queue works on one task after another; what waits here can still go to another server.
    running_max: int = Field(4, ge=1, le=100_000)

    #: A folder of graphs (`NAME.json`, saved in API format) beside the shipped txt2img, img2img, inpaint and upscale.
    graphs: Path | None = None

    #: What the routes may ask of it; films need nodes and graphs of the operator's.
    capabilities: frozenset[Capability] = frozenset({"image.generate", "image.inpaint", "image.upscale"})

    #: Whether the server takes the task's id from us. Older ones choose their own: there a lost submit cannot be found.
    takes_prompt_id: bool = True

    #: The whole `Authorization` header, for a server behind a proxy that wants one; ComfyUI itself has no credentials.
    authorization: Credential | None = None
