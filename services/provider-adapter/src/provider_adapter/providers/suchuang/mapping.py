"""Orders in a family's words, and the vendor's answers in ours."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from provider_adapter.ports import Finished, Pending, Source, Task
from provider_adapter.providers.remote.http import NotReadable, Reply
from provider_adapter.providers.remote.provider import Refused, trouble_of_status
from provider_adapter.providers.remote.results import Results
from provider_adapter.providers.remote.shapes import nearest_ratio, only_roles, public_link, size, text, whole
from provider_adapter.providers.remote.trouble import Trouble
from provider_adapter.providers.suchuang.families import Family
from provider_adapter.providers.suchuang.options import Options

TAKEN: Final = frozenset({200, 0})  # Most clients know 200 alone, some take 0 for the same.
ID_CHARS_MAX: Final = 256  #: Of a task's id together with its family.


def body_of(task: Task, family: Family) -> dict[str, Any]:
    """The order's fields, without the operator's own. Raises Refused."""
    names, parameters = family.names, task.parameters
    body = {**family.constants, names["prompt"]: text(parameters, "prompt", needed=True)}
    if shape := _shape(parameters, family):
        body[names["size"]] = shape
    resolution = text(parameters, "resolution")
    if resolution:
        if resolution not in (family.resolutions or {}):
            raise Refused(Trouble.UNSUPPORTED, "The provider does not offer this resolution.", field="resolution")
        assert family.resolutions is not None
        if "resolution" in names:
            body[names["resolution"]] = family.resolutions[resolution]
    if family.capability == "video.generate":
        duration = whole(parameters, "duration")
        if duration not in family.durations:  # Nor is a length that is not ordered: their own is not known.
            offered = " or ".join(map(str, family.durations))
            raise Refused(Trouble.UNSUPPORTED, f"The provider makes films of {offered} seconds.", field="duration")
        if "duration" in names:
            body[names["duration"]] = duration
    if task.inputs:
        body[_name(family, "images", task.inputs[0].field)] = _images(task.inputs, family)
    return body


def form_of(body: Mapping[str, Any]) -> dict[str, str]:
    """The fields as a form has them: what is no text or number is written as JSON."""
    return {name: value if isinstance(value, str) else orjson.dumps(value).decode() for name, value in body.items()}


def _shape(parameters: Mapping[str, Any], family: Family) -> str:
    """Ratio or pixels as the family takes them, "" when none are ordered."""
    ratio, pixels = text(parameters, "ratio"), size(parameters)
    field = "ratio" if ratio else "width"
    if not ratio and pixels is None:
        return ""
    _name(family, "size", field)
    if family.size_as == "pixels" and pixels is not None:
        return f"{pixels[0]}x{pixels[1]}"
    if family.size_as == "pixels":
        raise Refused(Trouble.UNSUPPORTED, "The provider wants width and height.", field=field)
    if not any(":" in each for each in family.ratios or ()):
        raise Refused(Trouble.UNSUPPORTED, "The provider's ratios are not configured.", field=field)
    assert family.ratios is not None
    if not ratio:
        assert pixels is not None
        return nearest_ratio(*pixels, family.ratios)
    if ratio not in family.ratios:
        raise Refused(Trouble.UNSUPPORTED, "The provider does not offer this ratio.", field="ratio")
    return ratio


def _images(inputs: Sequence[Source], family: Family) -> str | list[str]:
    only_roles(inputs, "image", "reference", *(["first_frame"] if family.capability == "video.generate" else []))
    most = 1 if family.images_as == "one" else family.images_max
    if most is not None and len(inputs) > most:
        raise Refused(Trouble.UNSUPPORTED, f"The provider takes {most} pictures.", field=inputs[most].field)
    links = [public_link(source) for source in inputs]
    if family.images_as == "list":
        return links
    # A comma inside of a link is written so that it does not end it.
    return links[0] if family.images_as == "one" else ",".join(link.replace(",", "%2C") for link in links)


def _name(family: Family, word: Any, field: str) -> str:
    name = family.names.get(word)
    if name is None:
        raise Refused(Trouble.UNSUPPORTED, "The provider's model does not take this.", field=field)
    return name


def code_of(body: Mapping[str, Any]) -> int | None:
    """The outer code, None when there is none."""
    return _number(body.get("code"))


def trouble_of(body: Mapping[str, Any], options: Options, *texts: object) -> Trouble | None:
    """What the operator's file says of an answer's code, and then of its texts; None when it says nothing."""
    code = code_of(body)
    if code is not None and code in options.codes:
        return Trouble(options.codes[code])
    said = " ".join(text for text in texts if isinstance(text, str))
    for piece, meaning in options.messages.items():
        if piece in said:
            return Trouble(meaning)
    return None


def task_id_of(reply: Reply, options: Options) -> str:
    """The id of the task that an order became. Raises Refused, and NotReadable for an answer that says neither."""
    body = _object_or_nothing(reply)
    code = code_of(body)
    if reply.ok and code in TAKEN:
        data = body.get("data")
        task_id = data.get("id") if isinstance(data, dict) else None
        if isinstance(task_id, str | int) and not isinstance(task_id, bool) and str(task_id):
            return str(task_id)
        raise NotReadable("a task without an id")
    if reply.ok and code is None:
        raise NotReadable("an answer without a code")
    # A code says no, whatever it means: it is not said to be of the moment, so the order is not repeated with them.
    by_default = Trouble.INVALID if reply.ok else trouble_of_status(reply.status)
    raise Refused(trouble_of(body, options, body.get("msg")) or by_default, retry_after_s=reply.retry_after_s)


def message_of(reply: Reply) -> object:
    """What an answer says in words: of a failed task, of a refusal."""
    body = _object_or_nothing(reply)
    data = body.get("data")
    told = [data.get(name) for name in ("message", "fail_reason")] if isinstance(data, dict) else []
    return next((each for each in told if each), body.get("msg"))


def standing(reply: Reply, family: Family, options: Options, results: Results) -> Pending | Finished:
    """What the answer to a question says of the task. Raises Refused when it has failed or is not known, NotReadable
    when that cannot be told: giving a paid task up for a word that is not understood would pay for it again."""
    body = _object_or_nothing(reply)
    if not reply.ok or code_of(body) not in TAKEN:
        trouble = trouble_of(body, options, body.get("msg"))
        if trouble is Trouble.GONE:
            raise Refused(trouble)
        raise NotReadable(f"refused with {reply.status} and code {code_of(body)}")
    data = body.get("data")
    if not isinstance(data, dict):
        raise NotReadable("an answer without data")
    number = _number(data.get("status"))
    match None if number is None else family.status.get(number):
        case "queued" | "running":
            return Pending()
        case "succeeded":
            return _finished(data, family, options, results)
        case "failed":
            told = (data.get("message"), data.get("fail_reason"))
            raise Refused(trouble_of({}, options, *told) or Trouble.BROKEN)
        case _:
            raise NotReadable("a state that is not known")


def _finished(data: Mapping[str, Any], family: Family, options: Options, results: Results) -> Finished:
    found = next((data[name] for name in family.result_fields if data.get(name)), None)
    urls = [found] if isinstance(found, str) else found
    if not isinstance(urls, list) or not urls:
        raise Refused(Trouble.UNUSABLE)
    role = "video" if family.capability == "video.generate" else "image"
    cost_fen = options.cost_fen_per_output * len(urls)
    return Finished(files=[results.at(url, role=role, cost_fen=cost_fen) for url in urls], cost_fen=cost_fen)


def _object_or_nothing(reply: Reply) -> Mapping[str, Any]:
    """The body; of an answer that is no success perhaps nothing, of one that is it raises NotReadable."""
    if reply.ok:
        return reply.object()
    try:
        return reply.object()
    except NotReadable:
        return {}


def _number(value: object) -> int | None:
    """A number that may have come as a text; None for anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 10:
        return int(value)
    return None
