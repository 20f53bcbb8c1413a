"""What an operator configures of one AUTOMATIC1111 or Forge server, started with `--api`."""

from typing import Literal

from pydantic import AnyHttpUrl, Field

from provider_adapter.providers.remote.options import Credential, RemoteOptions


class Options(RemoteOptions):
    """One server."""

    kind: Literal["a1111"]
    base_url: AnyHttpUrl = AnyHttpUrl("http://127.0.0.1:7860")
    login: Credential | None = None  #: `user:password`, as the server's `--api-auth` has it.

    #: It works on one picture at a time, so what is sent besides only waits there.
    running_max: int = Field(1, ge=1, le=100)

    #: Seconds until the picture is there, with the time in the server's queue. The job's deadline ends it sooner.
    work_s: float = Field(600.0, gt=0, le=7200)
    progress_every_s: float = Field(1.0, gt=0, le=60)

    #: Whether a picture whose answer is lost may be made again: the server is the operator's own, and the same seed
    #: makes the same one. False where each call is charged.
    repeatable: bool = True

    #: The most pixels it draws at once; an order of more is refused. None: the server decides.
    pixels_max: int | None = Field(None, ge=64 * 64)

    #: The longer side in which the surroundings of a mask are drawn before they are laid into the picture.
    repaint_px: int = Field(512, ge=64, le=4096)

    #: `cfg_scale` for a `scale` of 0 and of 100 percent, e.g. [1, 15]. None: `scale` is not passed on.
    cfg_scale: tuple[float, float] | None = None
