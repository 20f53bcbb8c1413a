"""What Ark takes of a request, written down as its documents have it; everything else is a 400."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

BODY_BYTES_MAX: Final = 64 * 1024 * 1024


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: An endpoint of the simulated account, and the model it serves.
ENDPOINTS: Final = {"ep-20260101000000-films": "doubao-seedance-1-5-pro-251215"}

#: Model, resolutions, shortest and longest film.
_FILM_MODELS: Final[Mapping[str, tuple[str, int, int]]] = {
    "doubao-seedance-2-0-260128": ("480p 720p 1080p 4k", 4, 15),
    "doubao-seedance-2-0-fast-260128": ("480p 720p", 4, 15),
    "doubao-seedance-2-0-mini-260615": ("480p 720p", 4, 15),  # The resolutions are assumed.
    "doubao-seedance-1-5-pro-251215": ("480p 720p 1080p", 4, 12),
    "doubao-seedance-1-0-pro-250528": ("480p 720p 1080p", 2, 12),
    "doubao-seedance-1-0-pro-fast-251015": ("480p 720p 1080p", 2, 12),
    "doubao-seedance-1-0-lite-t2v-250428": ("480p 720p 1080p", 2, 12),
    "doubao-seedance-1-0-lite-i2v-250428": ("480p 720p 1080p", 2, 12),
}
_FILM_FIELDS: Final = _words(
    "model content resolution ratio duration frames seed camera_fixed watermark generate_audio return_last_frame "
    "service_tier execution_expires_after draft callback_url tools priority safety_identifier"
)
_NOT_OF_2_0: Final = ("frames", "seed", "camera_fixed", "service_tier")
_FILM_RATIOS: Final = _words("16:9 4:3 1:1 3:4 9:16 21:9 adaptive")

#: Model, least and most area, sizes by name, pictures that may be sent.
_PICTURE_MODELS: Final[Mapping[str, tuple[int, int, str, int]]] = {
    "doubao-seedream-4-0-250828": (921_600, 16_777_216, "1K 2K 4K", 14),
    "doubao-seedream-4-5-251128": (3_686_400, 16_777_216, "2K 4K", 14),
    "doubao-seedream-5-0-260128": (3_686_400, 16_777_216, "2K 3K 4K", 14),
    "doubao-seedream-5-0-pro-260628": (921_600, 4_194_304, "1K 2K", 10),
    "doubao-seedream-3-0-t2i-250415": (1, 16_777_216, "", 0),  # The areas are assumed.
}
_PICTURE_FIELDS: Final = _words(
    "model prompt image size sequential_image_generation sequential_image_generation_options stream response_format "
    "watermark output_format optimize_prompt_options tools seed guidance_scale"
)

_PICTURE_URL: Final = re.compile(r"https?://.+|data:image/[a-z]+;base64,[A-Za-z0-9+/]+={0,2}|asset://.+")
_LINK: Final = re.compile(r"https?://.+|asset://.+")


class Bad(Exception):
    """The request is refused."""

    def __init__(self, code: str, param: str = "", *, status: int = 400) -> None:
        super().__init__(code)
        self.status, self.code, self.param = status, code, param


def prompt_of(body: Mapping[str, Any]) -> str:
    """The text of a film's request."""
    return " ".join(item["text"] for item in body["content"] if item["type"] == "text")


def check_film(body: Mapping[str, Any]) -> None:
    """Raise Bad unless it can be filmed."""
    model = _model(body, _FILM_MODELS)
    resolutions, shortest, longest = _FILM_MODELS[model]
    _known(body, _FILM_FIELDS)
    two = "-2-0" in model
    if two:
        for name in _NOT_OF_2_0:
            _need(name not in body, "InvalidParameter.UnsupportedParameter", name)
    _need(body.get("resolution", "720p") in resolutions.split(), "InvalidParameter", "resolution")
    ratio = body.get("ratio", "16:9")
    _need(ratio in _FILM_RATIOS, "InvalidParameter", "ratio")
    duration = body.get("duration", 5)
    chosen = duration == -1 and "-1-0-" not in model
    _need(_whole(duration) and (chosen or shortest <= duration <= longest), "InvalidParameter", "duration")
    seed = body.get("seed", -1)
    _need(_whole(seed) and -1 <= seed < 2**32, "InvalidParameter", "seed")
    expires = body.get("execution_expires_after", 172_800)
    _need(_whole(expires) and 3600 <= expires <= 259_200, "InvalidParameter", "execution_expires_after")
    for name in ("watermark", "generate_audio", "return_last_frame", "camera_fixed"):
        _need(isinstance(body.get(name, False), bool), "InvalidParameter", name)
    _need(len(body.get("safety_identifier", "")) <= 64, "InvalidParameter", "safety_identifier")
    content = body.get("content")
    _need(isinstance(content, list) and content, "MissingParameter", "content")
    shown = _shown(content)
    _need(shown or ratio != "adaptive" or "-1-0-" not in model, "InvalidParameter", "ratio")
    _check_roles(shown, model)


def _shown(content: Any) -> list[tuple[str, str]]:
    """Kind and role of what is sent along."""
    shown = []
    for number, item in enumerate(content):
        kind = str(item.get("type")) if isinstance(item, dict) else ""
        where = f"content[{number}]"
        if kind == "text":
            _need(isinstance(item.get("text"), str) and item["text"], "MissingParameter", f"{where}.text")
            continue
        _need(kind in {"image_url", "video_url", "audio_url"}, "InvalidParameter", f"{where}.type")
        url = item.get(kind, {}).get("url", "")
        _need(url, "InvalidImageURL.EmptyURL", where)
        form = _PICTURE_URL if kind == "image_url" else _LINK
        _need(form.fullmatch(url), "InvalidImageURL.InvalidFormat", where)
        shown.append((kind, item.get("role", "")))
    return shown


def _check_roles(shown: Sequence[tuple[str, str]], model: str) -> None:
    """The three ways: a first frame, a first and a last one, or references."""
    roles = sorted(role for _, role in shown)
    if not shown:
        _need("i2v" not in model, "MissingParameter", "content")
    elif "t2v" in model:
        raise Bad("InvalidParameter", "content")
    elif roles in ([""], ["first_frame"], ["first_frame", "last_frame"]):
        _need(all(kind == "image_url" for kind, _ in shown), "InvalidParameter", "content")
    else:
        for kind, role in shown:
            _need(role == f"reference_{kind.removesuffix('_url')}", "InvalidParameter", "content.role")
        _check_references([kind for kind, _ in shown], model)


def _check_references(kinds: Sequence[str], model: str) -> None:
    pictures, films, sounds = (kinds.count(f"{kind}_url") for kind in ("image", "video", "audio"))
    if "-2-0" in model:
        _need(pictures <= 9 and films <= 3 and sounds <= 3 and pictures + films > 0, "InvalidParameter", "content")
    else:
        _need("lite-i2v" in model and pictures <= 4 and films + sounds == 0, "InvalidParameter", "content")


def check_picture(body: Mapping[str, Any]) -> None:
    """Raise Bad unless it can be drawn."""
    model = _model(body, _PICTURE_MODELS)
    least, most, names, images_max = _PICTURE_MODELS[model]
    _known(body, _PICTURE_FIELDS)
    three = "-3-0-" in model
    for name in ("seed", "guidance_scale"):
        _need(three or name not in body, "InvalidParameter.UnsupportedParameter", name)
    for name in ("sequential_image_generation", "sequential_image_generation_options"):
        _need(not three or name not in body, "InvalidParameter.UnsupportedParameter", name)
    _need("output_format" not in body or "-5-0-" in model, "InvalidParameter.UnsupportedParameter", "output_format")
    _need(isinstance(body.get("prompt"), str) and body["prompt"], "MissingParameter", "prompt")
    size = body.get("size", "2048x2048")
    if size not in names.split():
        sides = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", size)
        _need(sides, "InvalidParameter", "size")
        width, height = int(sides[1]), int(sides[2])  # type: ignore[index]  # `_need` raises without a match.
        _need(least <= width * height <= most and 1 / 16 <= width / height <= 16, "InvalidParameter", "size")
        _need("-pro-" not in model or (width % 16 == 0 and height % 16 == 0), "InvalidParameter", "size")
    images = _images(body)
    _need(len(images) <= images_max, "InvalidParameter", "image")
    for url in images:
        _need(isinstance(url, str) and url, "InvalidImageURL.EmptyURL", "image")
        _need(_PICTURE_URL.fullmatch(url), "InvalidImageURL.InvalidFormat", "image")
    _need(body.get("response_format", "url") in {"url", "b64_json"}, "InvalidParameter", "response_format")
    _need(body.get("output_format", "jpeg") in {"png", "jpeg"}, "InvalidParameter", "output_format")
    _need(not body.get("stream"), "InvalidParameter", "stream")  # Ark streams; nobody here asks for it.
    sequence = body.get("sequential_image_generation", "disabled")
    _need(sequence in {"auto", "disabled"}, "InvalidParameter", "sequential_image_generation")
    group = _group_max(body)
    _need(_whole(group) and 1 <= group <= 15, "InvalidParameter", "sequential_image_generation_options")
    _need(sequence == "disabled" or len(images) + group <= 15, "InvalidParameter", "image")


def pictures_of(body: Mapping[str, Any]) -> int:
    """How many pictures are drawn; of a group, three if so many are wanted."""
    return min(3, _group_max(body)) if body.get("sequential_image_generation") == "auto" else 1


def size_of(body: Mapping[str, Any]) -> str:
    """The size in the answer."""
    sides = {"1K": "1024x1024", "2K": "2048x2048", "3K": "3072x3072", "4K": "4096x4096"}
    size = str(body.get("size", "2048x2048"))
    return sides.get(size, size)


def _images(body: Mapping[str, Any]) -> Sequence[Any]:
    image = body.get("image", [])
    return image if isinstance(image, list) else [image]


def _group_max(body: Mapping[str, Any]) -> int:
    options = body.get("sequential_image_generation_options", {})
    return int(options.get("max_images", 15))


def _model(body: Mapping[str, Any], models: Mapping[str, Any]) -> str:
    _need(isinstance(body.get("model"), str), "MissingParameter", "model")
    model = ENDPOINTS.get(body["model"], body["model"])
    if model not in models:
        raise Bad("InvalidEndpointOrModel.NotFound", "model", status=404)
    return str(model)


def _known(body: Mapping[str, Any], fields: frozenset[str]) -> None:
    for name in body:
        _need(name in fields, "InvalidParameter.UnsupportedParameter", name)


def _need(holds: object, code: str, param: str) -> None:
    if not holds:
        raise Bad(code, param)


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
