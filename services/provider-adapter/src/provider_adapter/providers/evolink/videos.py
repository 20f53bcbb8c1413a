"""An order for a film as EvoLink's request; which of a model's three variants makes it follows from the inputs."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from provider_adapter.ports import Source, Task
from provider_adapter.providers.remote.provider import Refused
from provider_adapter.providers.remote.shapes import only_roles, public_link, text, whole
from provider_adapter.providers.remote.trouble import Trouble

RATIOS: Final = frozenset({"16:9", "9:16", "1:1", "4:3", "3:4", "21:9", "adaptive"})
REFERENCE_IMAGES_MAX: Final = 9
REFERENCE_CLIPS_MAX: Final = 3  # Of films, and again of sounds.

#: "seedance-2.0", perhaps "-fast" or "-mini", perhaps one variant that the inputs have to fit.
_MODEL: Final = re.compile(r"(seedance-(?:2\.0|2\.5)(-fast|-mini)?)(?:-(text|image|reference)-to-video)?")


@dataclass(frozen=True, kw_only=True)
class _Model:
    name: str  #: Without the variant.
    variant: str  #: "" when the route leaves it open.
    durations: range
    resolutions: frozenset[str]


def video_body(task: Task) -> dict[str, Any]:
    """The body of `/v1/videos/generations`, without a callback. Raises Refused."""
    model = _model(task.upstream_model)
    only_roles(task.inputs, "image", "reference", "first_frame", "last_frame")
    variant, urls = _materials(task.inputs)
    if model.variant and model.variant != variant:
        message = f"The route's model makes films out of {model.variant}s, not out of {variant}s."
        raise Refused(Trouble.UNSUPPORTED, message, field="inputs")
    body: dict[str, Any] = {
        "model": f"{model.name}-{variant}-to-video",
        "prompt": text(task.parameters, "prompt", needed=variant == "text"),
        **urls,
    }
    duration = whole(task.parameters, "duration")
    if duration is not None:
        if duration not in model.durations:
            message = f"The provider makes films of {model.durations[0]} to {model.durations[-1]} seconds."
            raise Refused(Trouble.UNSUPPORTED, message, field="duration")
        body["duration"] = duration
    if resolution := text(task.parameters, "resolution"):
        if resolution not in model.resolutions:
            raise Refused(Trouble.UNSUPPORTED, "The provider does not offer this resolution.", field="resolution")
        body["quality"] = resolution
    if ratio := text(task.parameters, "ratio"):
        if ratio not in RATIOS:
            raise Refused(Trouble.UNSUPPORTED, "The provider does not offer this ratio.", field="ratio")
        body["aspect_ratio"] = ratio
    return body


def _model(name: str) -> _Model:
    found = _MODEL.fullmatch(name)
    if found is None:
        raise Refused(Trouble.UNSUPPORTED, "The route names a model whose fields are not known.")
    newer = found[1].startswith("seedance-2.5")
    standard = not newer and not found[2]
    return _Model(
        name=found[1],
        variant=found[3] or "",
        durations=range(4, 31) if newer else range(4, 16),
        resolutions=frozenset({"480p", "720p", "1080p"} if standard else {"480p", "720p"}),
    )


def _materials(inputs: Sequence[Source]) -> tuple[str, dict[str, list[str]]]:
    """The variant that takes these inputs, and their fields."""
    first = [source for source in inputs if source.role in {"first_frame", "image"}]
    last = [source for source in inputs if source.role == "last_frame"]
    references = [source for source in inputs if source.role == "reference"]
    if not inputs:
        return "text", {}
    if not references:
        if len(first) != 1 or len(last) > 1:
            raise Refused(Trouble.UNSUPPORTED, "One first frame and at most one last frame.", field=inputs[0].field)
        return "image", {"image_urls": [public_link(source) for source in (*first, *last)]}
    if first or last:
        # The vendor has no variant with both, and a frame taken for a reference would not be one.
        raise Refused(
            Trouble.UNSUPPORTED, "The provider takes frames or references, not both.", field=references[0].field
        )
    return "reference", _references(references)


def _references(inputs: Sequence[Source]) -> dict[str, list[str]]:
    fields: dict[str, list[str]] = {}
    for source in inputs:
        kind = source.mime_type.partition("/")[0]
        if kind not in {"image", "video", "audio"}:
            raise Refused(Trouble.UNSUPPORTED, "The provider takes pictures, films and sounds.", field=source.field)
        links = fields.setdefault(f"{kind}_urls", [])
        if len(links) >= (REFERENCE_IMAGES_MAX if kind == "image" else REFERENCE_CLIPS_MAX):
            raise Refused(Trouble.UNSUPPORTED, "The provider takes fewer of these.", field=source.field)
        links.append(public_link(source))
    if set(fields) == {"audio_urls"}:
        raise Refused(Trouble.UNSUPPORTED, "A sound alone makes no film.", field=inputs[0].field)
    return fields
