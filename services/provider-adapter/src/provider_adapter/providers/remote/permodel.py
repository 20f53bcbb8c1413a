"""Providers that run any model: the catalogue's route says what the model calls its inputs.

A route's parameters are the model's own input names, each with one of our parameters (`$prompt`) or a constant. Names
with dots make objects (`image_size.width: $width`). Some constants are for the adapter, not for the model:

    inputs: {image: image_url, reference: "image_urls[]"}   # where pictures go, by role; [] takes several
    values: {duration: {"5": "5s", "10": "10s"}}    # the model's words for our values; what is not there is refused
    seed_input: seed                                # where the job's own seed goes
    extra: {...}                                    # laid over the request's body last
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from provider_adapter.ports import OutputFile, Source, Task
from provider_adapter.providers.remote.inline import encoded, of_base64
from provider_adapter.providers.remote.options import RemoteOptions
from provider_adapter.providers.remote.provider import Refused
from provider_adapter.providers.remote.results import Results, role_by_name
from provider_adapter.providers.remote.trouble import Trouble

Capability = Literal["image.generate", "image.inpaint", "image.upscale", "video.generate"]
Path = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$")]
Word = Annotated[str, Field(min_length=1, max_length=100)]

DATA_BYTES_MAX: Final = 20 * 1024 * 1024  # Of one input inside a request; its base64 is a third more.
FILES_MAX: Final = 32  # Results of one task, as many as a report may carry.

_OURS: Final = frozenset({"inputs", "values", "seed_input", "extra"})
_NAMES: Final = frozenset(
    {"prompt", "negative_prompt", "width", "height", "seed", "scale", "quality", "resolution", "duration", "ratio"}
)


class PerModelOptions(RemoteOptions):
    """What every provider has that runs any model."""

    #: What the routes may ask of it.
    capabilities: frozenset[Capability] = Field(min_length=1)

    #: Where a model's answer has its files ("images", "result.image"), by model. Without: wherever there are any.
    outputs: Mapping[str, Path] = Field(default_factory=dict)

    #: Inputs up to this size go into the request as `data:` URLs when the house has no public address; 0 for never.
    data_url_bytes_max: int = Field(0, ge=0, le=DATA_BYTES_MAX)

    #: What tells that the prompt or a picture was refused, and that the result was: the vendor has no code of its own
    #: for it, so it depends on the models.
    input_moderation: tuple[Word, ...] = ()
    output_moderation: tuple[Word, ...] = ()


async def model_input(task: Task, options: PerModelOptions) -> dict[str, Any]:
    """The model's input, without `extra`. Raises Refused."""
    given = task.parameters
    words = _object(given, "values")
    made: dict[str, Any] = {}
    for name, value in given.items():
        if name not in _OURS and value is not None:
            _put(made, name, _word(words[name], value, name) if name in words else value)
    seed_input = given.get("seed_input")
    if isinstance(seed_input, str):
        _put(made, seed_input, task.seed)
    for name, value in (await _pictures(task, options)).items():
        _put(made, name, value)
    return made


def extra_of(task: Task) -> Mapping[str, Any]:
    """What the catalogue lays over the request's body."""
    return _object(task.parameters, "extra")


def field_of(name: str) -> str:
    """What we call a parameter that the model calls so; "" when the name says nothing to our clients."""
    last = name.rpartition(".")[2]
    last = {"aspect_ratio": "ratio"}.get(last, last)
    return last if last in _NAMES else ""


def _object(parameters: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = parameters.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Refused(Trouble.UNSUPPORTED, f"The route's {name} is not an object.")
    return value


def _word(words: Any, value: Any, name: str) -> Any:
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # JSON has one kind of number.
    key = str(value).lower() if isinstance(value, bool) else str(value)
    if not isinstance(words, dict) or key not in words:
        raise Refused(Trouble.UNSUPPORTED, "The model does not offer this value.", field=field_of(name))
    return words[key]


def _put(made: dict[str, Any], name: str, value: Any) -> None:
    *outer, last = name.split(".")
    for part in outer:
        made = made.setdefault(part, {})
        if not isinstance(made, dict):
            raise Refused(Trouble.UNSUPPORTED, f"The route gives {part} twice.")
    made[last] = value


async def _pictures(task: Task, options: PerModelOptions) -> dict[str, str | list[str]]:
    """The inputs' URLs by the model's names."""
    places, made = _object(task.parameters, "inputs"), dict[str, str | list[str]]()
    for source in task.inputs:
        place = places.get(source.role)
        if not isinstance(place, str):
            raise Refused(Trouble.UNSUPPORTED, "The model has no place for this input.", field=source.field)
        if place in made:
            raise Refused(Trouble.UNSUPPORTED, "The model takes one such input.", field=source.field)
        url = await _url(source, options)
        if place.endswith("[]"):
            several = made.setdefault(place.removesuffix("[]"), [])
            if not isinstance(several, list):
                raise Refused(Trouble.UNSUPPORTED, "The model takes one such input.", field=source.field)
            several.append(url)
        else:
            made[place] = url
    return made


async def _url(source: Source, options: PerModelOptions) -> str:
    link = source.link()
    if link:
        return link
    if source.size_bytes > options.data_url_bytes_max:
        raise Refused(Trouble.UNSUPPORTED, "Inputs need a public address of this house.", field=source.field)
    return f"data:{source.mime_type};base64,{await encoded(await source.read())}"


def moderated(text: str, options: PerModelOptions) -> Trouble | None:
    """Which of the operator's words the vendor's text has, if any."""
    lower = text.lower()
    if any(word.lower() in lower for word in options.output_moderation):
        return Trouble.OUTPUT_MODERATED
    if any(word.lower() in lower for word in options.input_moderation):
        return Trouble.INPUT_MODERATED
    return None


def files_of(output: Any, path: str | None, results: Results, cost_fen_per_output: int) -> list[OutputFile]:
    """The files of a model's answer. Raises Refused when there are none."""
    for part in path.split(".") if path else ():
        output = output.get(part) if isinstance(output, dict) else None
    if path and isinstance(output, dict) and isinstance(output.get("url"), str):
        output = output["url"]
    urls = list(dict.fromkeys(_urls(output)))
    if not 0 < len(urls) <= FILES_MAX:
        raise Refused(Trouble.UNUSABLE)
    cost_fen = cost_fen_per_output * len(urls)
    return [_file(url, results, cost_fen) for url in urls]


def _urls(output: Any) -> Sequence[str]:
    """URLs that stand alone, in lists, or as an object's `url`. Other texts may be the client's own, as prompts are."""
    match output:
        case str(text):
            return [text] if text.startswith(("http://", "https://", "data:")) else []
        case list(items):
            return [url for item in items for url in _urls(item)]
        case {"url": str(text)}:
            return _urls(text)
        case dict(values):
            return [url for value in values.values() if isinstance(value, dict | list) for url in _urls(value)]
    return []


def _file(url: str, results: Results, cost_fen: int) -> OutputFile:
    if url.startswith("data:"):
        role = "video" if url.startswith("data:video/") else "image"
        return of_base64(url, role=role, cost_fen=cost_fen)
    return results.at(url, role=role_by_name(url), cost_fen=cost_fen)
