"""Families of the vendor's models: where each is ordered and asked after, in which words, within which limits.

`KNOWN` holds those whose fields are known. Any other one, soraImg among them, comes whole out of the operator's file:
its addresses, parameter names and states have no default. What is not known of a family here (None) is not assumed
either: an order that needs it is refused until the operator's file says it.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

#: What an order can say; a family's `names` has the vendor's word for each one that it takes.
Word = Literal["prompt", "images", "size", "resolution", "duration"]
State = Literal["queued", "running", "succeeded", "failed"]
Path = Annotated[str, Field(pattern=r"^/[A-Za-z0-9/._-]{1,200}$")]


class Family(BaseModel):
    """One family of models."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    capability: Literal["image.generate", "video.generate"]
    submit_path: Path
    detail_path: Path
    encoding: Literal["json", "form"]  #: Of the order.
    names: Mapping[Word, str]
    status: Mapping[int, State]  #: The vendor's numbers; they differ from family to family.

    constants: Mapping[str, Any] = Field(default_factory=dict)  #: Fields that every order has.
    images_as: Literal["one", "list", "joined"] = "one"  #: "joined": one text with commas.
    images_max: int | None = Field(1, ge=1)  #: None: the vendor's limit is not known.
    size_as: Literal["ratio", "pixels"] = "ratio"
    ratios: tuple[Annotated[str, Field(pattern=r"^(auto|[1-9]\d?:[1-9]\d?)$")], ...] | None = None
    resolutions: Mapping[str, str] | None = None  #: Ours to the vendor's; sent when `names` has a word for it.
    durations: tuple[int, ...] = ()  #: Seconds.
    result_fields: tuple[str, ...] = ("image_url", "remote_url", "result")  #: The first that is not empty counts.

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if "prompt" not in self.names:
            raise ValueError("names needs a word for prompt")
        if self.encoding == "form" and self.images_as == "list":
            raise ValueError("a form has no lists: images_as is one or joined")
        if not {"succeeded", "failed"} <= set(self.status.values()):
            raise ValueError("status needs a number for succeeded and for failed")
        return self


_ASYNC_DETAIL: Final = "/api/async/detail"
_DRAW_DETAIL: Final = "/api/img/drawDetail"
_IMAGE_STATUS: Final[Mapping[int, State]] = {0: "queued", 1: "running", 2: "succeeded", 3: "failed"}
_FILM_STATUS: Final[Mapping[int, State]] = {0: "queued", 1: "succeeded", 2: "failed", 3: "running"}
_TIERS: Final = {"1k": "1K", "2k": "2K", "4k": "4K"}
_RATIOS: Final = (
    *("auto", "1:1", "3:2", "2:3", "16:9", "9:16", "4:3", "3:4", "21:9", "9:21"),
    *("1:3", "3:1", "2:1", "1:2"),
)


def _async(name: str, size: str, **more: Any) -> Family:
    """A picture family of the current kind."""
    facts = {
        "capability": "image.generate",
        "submit_path": f"/api/async/{name}",
        "detail_path": _ASYNC_DETAIL,
        "encoding": "json",
        "names": {"prompt": "prompt", "images": "urls", "size": size},
        "status": _IMAGE_STATUS,
        "images_as": "list",
        "images_max": None,
        "result_fields": ("result",),
    }
    return Family.model_validate(facts | more)


def _banana(name: str) -> Family:
    names = {"prompt": "prompt", "images": "urls", "size": "aspectRatio", "resolution": "size"}
    return _async(name, "aspectRatio", names=names, resolutions=_TIERS)


def _older(name: str, **more: Any) -> Family:
    """A picture family of the older kind."""
    facts = {
        "capability": "image.generate",
        "submit_path": f"/api/img/{name}",
        "detail_path": _DRAW_DETAIL,
        "encoding": "json",
        "names": {"prompt": "prompt", "images": "img_url", "size": "aspectRatio"},
        "status": _IMAGE_STATUS,
        "images_as": "list",
        "images_max": None,
        "result_fields": ("image_url",),
    }
    return Family.model_validate(facts | more)


def _sora(name: str, durations: tuple[int, ...], *, resolution: str = "") -> Family:
    """A film family; which resolution the vendor's `small` and `large` are is not known."""
    names = {"prompt": "prompt", "images": "url", "size": "aspectRatio", "duration": "duration"}
    if resolution:
        names["resolution"] = resolution
    facts = {
        "capability": "video.generate",
        "submit_path": f"/api/{name}/submit",
        "detail_path": "/api/sora2/detail",
        "encoding": "form",
        "names": names,
        "status": _FILM_STATUS,
        "ratios": ("9:16", "16:9"),
        "durations": durations,
        "result_fields": ("remote_url",),
    }
    return Family.model_validate(facts)


KNOWN: Final[Mapping[str, Family]] = {
    "image_gpt": _async("image_gpt", "size", images_max=10, ratios=_RATIOS),
    "image_gpt_2.5": _async("image_gpt_2.5", "aspectRatio", size_as="pixels", images_as="joined"),
    "image_nanoBanana": _async(
        "image_nanoBanana",
        "aspectRatio",
        names={"prompt": "prompt", "images": "urls", "size": "aspectRatio", "resolution": "imageSize"},
    ),
    "image_nanoBanana_pro": _banana("image_nanoBanana_pro"),
    "image_nanoBanana2": _banana("image_nanoBanana2"),
    "nanoBanana": _older("nanoBanana", constants={"model": "nano-banana"}),
    "nanoBanana-pro": _older(
        "nanoBanana-pro",
        names={"prompt": "prompt", "images": "img_url", "size": "aspectRatio", "resolution": "imageSize"},
        resolutions=_TIERS,
    ),
    "sora2": _sora("sora2", (10, 15), resolution="size"),
    "sora2-new": _sora("sora2-new", (10, 15), resolution="size"),
    "sora2pro": _sora("sora2pro", (15, 25)),
}
