"""Inputs as Ark takes them: links where the house has a public address, else pictures inside the request."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from provider_adapter.ports import Source
from provider_adapter.providers.ark.models import FilmModel, PictureModel
from provider_adapter.providers.remote.inline import encoded
from provider_adapter.providers.remote.provider import Refused
from provider_adapter.providers.remote.shapes import only_roles
from provider_adapter.providers.remote.trouble import Trouble

MIB: Final = 1024**2
BODY_BYTES_MAX: Final = 64 * MIB  # Ark's limit for films. For pictures none is documented; ours is the same.
PICTURE_BYTES_MAX: Final = 30 * MIB
SOUND_BYTES_MAX: Final = 15 * MIB
FILM_BYTES_MAX: Final = 200 * MIB  # The newer page; the older one has 50, and refuses the rest itself.
FILMS_MAX: Final = 3
SOUNDS_MAX: Final = 3

_FILM_TYPES: Final = frozenset({"video/mp4", "video/quicktime"})
_SOUND_TYPES: Final = frozenset({"audio/wav", "audio/x-wav", "audio/vnd.wave", "audio/mpeg", "audio/mp3"})
_PICTURE_TYPES: Final = frozenset(f"image/{name}" for name in ("jpeg", "png", "webp", "bmp", "tiff", "gif"))
_HEIF_TYPES: Final = frozenset({"image/heic", "image/heif"})

_FIRST: Final = "first_frame"
_LAST: Final = "last_frame"
_FRAME_ROLES: Final = {"image": _FIRST, _FIRST: _FIRST, _LAST: _LAST}


def unsupported(message: str, field: str) -> Refused:
    """What is raised for what Ark, or this model, does not take."""
    return Refused(Trouble.UNSUPPORTED, message, field=field)


@dataclass(frozen=True, kw_only=True)
class Shown:
    """An input and the part it plays in a film."""

    source: Source
    role: str  #: first_frame, last_frame, reference_image, reference_video, reference_audio


def cast(sources: Sequence[Source], model: FilmModel) -> list[Shown]:
    """Give each input its part. The ways of filming exclude each other: from frames, or after references."""
    if model.needs_picture and not sources:
        raise unsupported("The model films pictures; there is none.", "inputs")
    only_roles(sources, "reference", *_FRAME_ROLES)
    for source in sources:
        _check_film_input(source, model)
    frames = [Shown(source=each, role=_FRAME_ROLES[each.role]) for each in sources if each.role in _FRAME_ROLES]
    pictures = [each for each in sources if each.mime_type.startswith("image/")]
    if not frames and model.frames and not model.references_max and len(pictures) == len(sources) == 1:
        return [Shown(source=pictures[0], role=_FIRST)]  # A model without references films the picture itself.
    if frames:
        _check_frames(frames, sources, model)
        return frames
    return _references(sources, model)


def _check_frames(frames: Sequence[Shown], sources: Sequence[Source], model: FilmModel) -> None:
    if not model.frames:
        raise unsupported("The model takes no pictures.", frames[0].source.field)
    others = [each for each in sources if each.role not in _FRAME_ROLES]
    if others:
        raise unsupported("First and last frames go without references.", others[0].field)
    roles = [each.role for each in frames]
    if roles.count(_FIRST) != 1 or roles.count(_LAST) > 1:
        raise unsupported("A film has one first frame, and at most one last.", frames[-1].source.field)


def _references(sources: Sequence[Source], model: FilmModel) -> list[Shown]:
    most = {"image": model.references_max, "video": FILMS_MAX, "audio": SOUNDS_MAX}
    if not model.films:
        most |= {"video": 0, "audio": 0}
    shown = []
    for source in sources:
        kind = source.mime_type.partition("/")[0]
        most[kind] -= 1
        if most[kind] < 0:
            raise unsupported("The model does not take so many inputs of this kind.", source.field)
        shown.append(Shown(source=source, role=f"reference_{kind}"))
    if shown and all(each.role == "reference_audio" for each in shown):
        raise unsupported("Sounds go with pictures or films only.", shown[0].source.field)
    return shown


def _check_film_input(source: Source, model: FilmModel) -> None:
    pictures = _PICTURE_TYPES | (_HEIF_TYPES if model.heif else frozenset())
    limits = ((pictures, PICTURE_BYTES_MAX), (_FILM_TYPES, FILM_BYTES_MAX), (_SOUND_TYPES, SOUND_BYTES_MAX))
    for types, bytes_max in limits:
        if source.mime_type in types:
            _check_size(source, bytes_max)
            break
    else:
        raise unsupported("The provider does not take this type of file.", source.field)
    if source.role != "reference" and source.mime_type not in pictures:
        raise unsupported("A frame is a picture.", source.field)


def check_pictures(sources: Sequence[Source], model: PictureModel) -> None:
    """Raise Refused for inputs that a picture cannot be drawn after."""
    only_roles(sources, "reference", "image")
    for number, source in enumerate(sources):
        if not source.mime_type.startswith("image/"):
            raise unsupported("The provider does not take this type of file.", source.field)
        if number >= model.references_max:
            raise unsupported("The model does not take so many pictures.", source.field)
        _check_size(source, PICTURE_BYTES_MAX)


def _check_size(source: Source, bytes_max: int) -> None:
    if source.size_bytes > bytes_max:
        raise unsupported("The file is too large for the provider.", source.field)


async def addresses(sources: Sequence[Source]) -> list[str]:
    """A URL for each input, in order: a link to the house, or a picture whole."""
    links = [source.link() for source in sources]
    inside = [source for source, link in zip(sources, links, strict=True) if not link]
    room = BODY_BYTES_MAX
    for source in inside:
        if not source.mime_type.startswith("image/"):
            raise unsupported("Inputs need a public address of this house.", source.field)
        room -= source.size_bytes * 4 // 3
        if room < 0:
            raise unsupported("The inputs are too large together for the provider.", source.field)
    return [link or await _data_uri(source) for source, link in zip(sources, links, strict=True)]


async def _data_uri(source: Source) -> str:
    return f"data:{source.mime_type.lower()};base64,{await encoded(await source.read())}"


async def film_content(prompt: str, shown: Sequence[Shown]) -> list[dict[str, Any]]:
    """The `content` of a film's request."""
    content: list[dict[str, Any]] = [{"type": "text", "text": prompt}] if prompt else []
    for each, url in zip(shown, await addresses([each.source for each in shown]), strict=True):
        kind = f"{each.source.mime_type.partition('/')[0]}_url"
        content.append({"type": kind, kind: {"url": url}, "role": each.role})
    return content
