"""Canonical parameters and inputs, read strictly: they are of the right kind, or refused by their field."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from provider_adapter.ports import Source
from provider_adapter.providers.remote.provider import Refused
from provider_adapter.providers.remote.trouble import Trouble


def whole(parameters: Mapping[str, Any], name: str) -> int | None:
    """A whole number, None when it is not given. Raises Refused."""
    value = parameters.get(name)
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise Refused(Trouble.UNSUPPORTED, "A whole number is needed.", field=name)
    return value


def text(parameters: Mapping[str, Any], name: str, *, chars_max: int | None = None, needed: bool = False) -> str:
    """A text, "" when it is not given. `chars_max` counts code points. Raises Refused."""
    value = parameters.get(name)
    if value is None:
        value = ""
    if not isinstance(value, str) or (needed and not value):
        raise Refused(Trouble.UNSUPPORTED, "A text is needed.", field=name)
    if chars_max is not None and len(value) > chars_max:
        raise Refused(Trouble.UNSUPPORTED, f"The provider takes at most {chars_max} characters.", field=name)
    return value


def size(parameters: Mapping[str, Any]) -> tuple[int, int] | None:
    """Width and height in pixels, None when neither is given. Raises Refused for one without the other."""
    width, height = whole(parameters, "width"), whole(parameters, "height")
    if width is None and height is None:
        return None
    for name, value in (("width", width), ("height", height)):
        if value is None or value < 1:
            raise Refused(Trouble.UNSUPPORTED, "Width and height go together and are positive.", field=name)
    assert width is not None
    assert height is not None
    return width, height


def nearest_ratio(width: int, height: int, ratios: Iterable[str]) -> str:
    """The one of `ratios` ("16:9") that is nearest by factor; the first of equals. What is no ratio is passed over."""
    wanted = math.log(width / height)

    def distance(ratio: str) -> float:
        across, _, down = ratio.partition(":")
        return abs(math.log(int(across) / int(down)) - wanted)

    return min((ratio for ratio in ratios if ":" in ratio), key=distance)


def public_link(source: Source) -> str:
    """The input's URL, for a provider that takes nothing else. Raises Refused where the house has no public address."""
    link = source.link()
    if not link:
        raise Refused(Trouble.UNSUPPORTED, "Inputs need a public address of this house.", field=source.field)
    return link


def only_roles(inputs: Iterable[Source], *roles: str) -> None:
    """Raise Refused for an input in a role that the provider has no place for: leaving it out gives another result."""
    for source in inputs:
        if source.role not in roles:
            raise Refused(Trouble.UNSUPPORTED, "The provider has no place for this input.", field=source.field)
