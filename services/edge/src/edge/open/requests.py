"""The open contract's job request in the house's words, and the house's field names back in the contract's."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import unquote

import orjson
from google.protobuf.timestamp_pb2 import Timestamp

from atelier.common.v1 import money_pb2
from atelier.gateway.v1 import gateway_service_pb2 as pb2
from atelier.jobs.v1 import job_pb2
from edge.body import Fields
from edge.open.views import UNIT_NAMES
from kit.errors import InvalidArgument, ModelUnknown

INPUTS_MAX: Final = 16
URL_CHARS_MAX: Final = 2048
PROMPT_CHARS_MAX: Final = 4000
LABEL_CHARS_MAX: Final = 64
QUOTE_CHARS_MAX: Final = 2048
AMOUNT_MAX: Final = 10**12  # Billing's own limit.
UNITS: Final = {name: unit for unit, name in UNIT_NAMES.items()}

#: What each capability's pictures are, in the order the contract gives them; the last role takes the rest.
INPUT_ROLES: Final[dict[str, tuple[str, ...]]] = {
    "image.generate": ("reference",),
    "image.inpaint": ("image", "mask"),
    "image.upscale": ("image",),
    "video.generate": ("reference",),
}
#: The contract's parameters and the catalogue's; a capability that lacks one refuses it by name.
PARAMETERS: Final = {
    "prompt": "prompt",
    "negativePrompt": "negative_prompt",
    "width": "width",
    "height": "height",
    "scale": "scale",
    "quality": "quality",
    "force_single": "force_single",
    "resolution": "resolution",
    "sNoise": "s_noise",
    "steps": "steps",
    "highFidelity": "high_fidelity",
    "strongInpaint": "strong_inpaint",
    "strongInpaintIntensity": "strong_inpaint_intensity",
    "seed": "seed",
}
#: The house's other field names and the contract's.
FIELDS: Final = {
    "webhook_url": "webhookUrl",
    "model": "capability",
    "idempotency_key": "Idempotency-Key",
    "quote_id": "quoteId",
    "max_cost": "maxCost",
}
SETTINGS: Final = ("ratio", "duration", "resolution", "seed")
MATERIAL_TYPES: Final = ("image", "video", "audio")

IDEMPOTENCY_KEY: Final = re.compile(r"[\x20-\x7e]{1,255}")


@dataclass(frozen=True, kw_only=True)
class Translated:
    """A request for the gateway, and what its inputs are called in the partner's body."""

    request: pb2.SubmitJobRequest
    input_fields: tuple[str, ...]

    def field_in_contract(self, field: str) -> str:
        """Turn `parameters.width`, `inputs[2]`, `inputs.mask` and `webhook_url` into the body's names."""
        if match := re.fullmatch(r"inputs\[(\d+)\]", field):
            return self.input_fields[int(match[1])]
        if field.startswith("inputs."):
            return "imageUrls"
        if field.startswith("parameters."):
            return self._parameter(field.removeprefix("parameters."))
        return FIELDS.get(field, field)

    def _parameter(self, name: str) -> str:
        if self.request.model == "video.generate" and name in SETTINGS:
            return f"settings.{name}"
        names = {house: contract for contract, house in PARAMETERS.items()}
        return names.get(name, name)


def translate_job(body: dict[str, Any], *, idempotency_key: str, public_url: str) -> Translated:
    """Translate `POST /jobs`. Raises InvalidArgument or ModelUnknown naming the field in the contract's words."""
    fields = Fields(body)
    quote_id = fields.take_text("quoteId", chars_max=QUOTE_CHARS_MAX)
    max_cost = _max_cost(fields.take_object("maxCost"))
    translated = _translate(fields, public_url)
    request = translated.request
    request.idempotency_key = idempotency_key
    request.quote_id = quote_id
    if max_cost is not None:
        request.max_cost.CopyFrom(max_cost)
    return translated


def translate_quote(body: dict[str, Any], *, public_url: str) -> Translated:
    """Translate `POST /quotes`: the body of the job that would be submitted. Raises the same."""
    return _translate(Fields(body), public_url)


def _max_cost(value: dict[str, Any]) -> money_pb2.Amount | None:
    if not value:
        return None
    [(unit, amount), *more] = value.items()
    if more or unit not in UNITS:
        raise InvalidArgument(f"maxCost names exactly one of {', '.join(UNITS)}.", field="maxCost")
    if type(amount) is not int or not 0 <= amount <= AMOUNT_MAX:
        raise InvalidArgument(f"maxCost.{unit} must be a whole number from 0 to {AMOUNT_MAX}.", field=f"maxCost.{unit}")
    return money_pb2.Amount(unit=UNITS[unit], value=amount)


def _translate(fields: Fields, public_url: str) -> Translated:
    capability = fields.take_text("capability", chars_max=64, required=True)
    if capability not in INPUT_ROLES:
        raise ModelUnknown(f"capability must be one of {', '.join(sorted(INPUT_ROLES))}.", field="capability")
    parameters = {
        house: value for contract, house in PARAMETERS.items() if (value := fields.take(contract)) is not None
    }
    settings = Fields(fields.take_object("settings"), prefix="settings.")
    parameters |= {name: value for name in SETTINGS if (value := settings.take(name)) is not None}
    settings.finish()
    inputs = _take_inputs(fields, capability, public_url)
    webhook_url = fields.take_text("webhookUrl", chars_max=URL_CHARS_MAX)
    fields.finish()
    return Translated(
        request=pb2.SubmitJobRequest(
            model=capability,
            parameters_json=orjson.dumps(parameters).decode(),
            inputs=[one for _, one in inputs],
            webhook_url=webhook_url,
            contract="open",
        ),
        input_fields=tuple(name for name, _ in inputs),
    )


def _take_inputs(fields: Fields, capability: str, public_url: str) -> list[tuple[str, job_pb2.Input]]:
    """Collect the inputs in the contract's order: asset ids, then URLs, then materials."""
    sources: list[tuple[str, str, str]] = []  # (field, kind and value, label)
    for index, asset_id in enumerate(fields.take_list("inputAssetIds", str, items_max=INPUTS_MAX)):
        sources.append((f"inputAssetIds[{index}]", f"asset:{asset_id}", ""))
    for name in ("inputUrls", "imageUrls"):
        for index, url in enumerate(fields.take_list(name, str, items_max=INPUTS_MAX)):
            sources.append((f"{name}[{index}]", f"url:{url}", ""))
    for index, material in enumerate(fields.take_list("materials", dict, items_max=INPUTS_MAX)):
        sources.append(_material(material, f"materials[{index}]"))
    if len(sources) > INPUTS_MAX:
        name = sources[INPUTS_MAX][0]
        raise InvalidArgument(f"{name}: a job takes at most {INPUTS_MAX} inputs.", field=name)
    roles = INPUT_ROLES[capability]
    return [
        (name, _input(source, label, roles[min(index, len(roles) - 1)], public_url, name))
        for index, (name, source, label) in enumerate(sources)
    ]


def _material(material: dict[str, Any], name: str) -> tuple[str, str, str]:
    fields = Fields(material, prefix=f"{name}.")
    kind = fields.take_text("type", chars_max=16, required=True)
    if kind not in MATERIAL_TYPES:
        raise InvalidArgument(f"{name}.type must be one of {', '.join(MATERIAL_TYPES)}.", field=f"{name}.type")
    if kind != "image":
        raise InvalidArgument(f"{name}.type: no engine here takes {kind} materials.", field=f"{name}.type")
    url = fields.take_text("url", chars_max=URL_CHARS_MAX)
    asset_id = fields.take_text("assetId", chars_max=64)
    label = fields.take_text("label", chars_max=LABEL_CHARS_MAX)
    fields.finish()
    if bool(url) == bool(asset_id):
        raise InvalidArgument(f"{name} needs either url or assetId.", field=f"{name}.url")
    return (f"{name}.assetId", f"asset:{asset_id}", label) if asset_id else (f"{name}.url", f"url:{url}", label)


def _input(source: str, label: str, role: str, public_url: str, name: str) -> job_pb2.Input:
    kind, _, value = source.partition(":")
    if kind == "asset":
        if not 0 < len(value) <= 64:
            raise InvalidArgument(f"{name} is not an asset id.", field=name)
        return job_pb2.Input(role=role, asset_id=value, label=label)
    if not 0 < len(value) <= URL_CHARS_MAX:
        raise InvalidArgument(f"{name} must be 1 to {URL_CHARS_MAX} characters.", field=name)
    own = own_asset_id(value, public_url)
    return (
        job_pb2.Input(role=role, asset_id=own, label=label) if own else job_pb2.Input(role=role, url=value, label=label)
    )


def own_asset_id(url: str, public_url: str) -> str:
    """The asset a link of ours names, so that it is never fetched over HTTP; empty for any other URL."""
    match = re.fullmatch(r"/api/v1/assets/([^/?#]{1,64})/download", url.removeprefix(public_url))
    return unquote(match[1]) if match and url.startswith(public_url) else ""


def read_idempotency_key(header: str | None) -> str:
    """The key, bare or as a quoted structured-field string; empty when there is no header."""
    if header is None:
        return ""
    key = header.strip()
    if len(key) >= 2 and key[0] == key[-1] == '"':
        key = key[1:-1]
    if not IDEMPOTENCY_KEY.fullmatch(key):
        raise InvalidArgument("Idempotency-Key must be 1 to 255 printable ASCII characters.", field="Idempotency-Key")
    return key


def read_before(text: str) -> Timestamp:
    """An ISO 8601 time; without a zone it is UTC. A plus sign that a query string turned into a space is restored."""
    try:
        moment = datetime.fromisoformat(text.strip().replace(" ", "+") if "T" in text else text.strip())
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        stamp = Timestamp()
        stamp.FromDatetime(moment.astimezone(UTC).replace(tzinfo=None))
    except (ValueError, OverflowError) as error:
        raise InvalidArgument("before must be an ISO 8601 time.", field="before") from error
    return stamp


def read_limit(text: str | None) -> int:
    """1 to 200; 20 when absent."""
    if text is None:
        return 20
    if not re.fullmatch(r"[0-9]{1,3}", text, re.ASCII) or not 1 <= int(text) <= 200:
        raise InvalidArgument("limit must be a whole number from 1 to 200.", field="limit")
    return int(text)
