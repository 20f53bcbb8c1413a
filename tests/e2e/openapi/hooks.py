"""What schemathesis cannot make up: credentials in forms, names of things that exist, and addresses that answer.

Hooks of `st run`, which finds them by SCHEMATHESIS_HOOKS; the facts are in the JSON file that OPENAPI_FACTS names.
"""

import hashlib
import itertools
import json
import os
import re
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import jsonschema_rs
import requests
import schemathesis
from schemathesis.specs.openapi.checks import negative_data_rejection
from schemathesis.transport.serialization import Binary

from testkit.furnished import Facts

_GIVEN: Final[dict[str, Any]] = json.loads(Path(os.environ["OPENAPI_FACTS"]).read_text())
FACTS: Final = Facts(**_GIVEN["facts"])
PICTURE_URL: Final[str] = _GIVEN["picture_url"]
PICTURE: Final = Binary(bytes.fromhex(_GIVEN["picture_hex"]))  # Bytes alone are no JSON string to a validator.
INPUTS_MAX: Final = 10  # In all lists of a job together, which a schema cannot say.
URL_CHARS_MAX: Final = 2048
PRICE_MAX: Final = 10**12
LISTS: Final = ("inputAssetIds", "inputUrls", "imageUrls", "materials")
#: Answers of the signed contract to well-formed requests: done, no such task, moderated, product switched off.
SIGNED_FINE: Final = {200, 201, 202, 604}
#: What else may be said of a well-formed request: the key was used before, no such task, operation switched off.
FINE_WORDS: Final = {"幂等键已用于其他请求", "任务未找到或状态未知", "任务提交失败:接口停用"}

_calls: Final[dict[str, Iterator[int]]] = defaultdict(itertools.count)


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Fill in what must be real. A value that breaks its schema is what the request is about, and stays."""
    if case.meta is None:
        return
    positive = case.meta.generation.mode.is_positive
    if isinstance(case.body, dict):
        _prove(case.body)
        _make_real(case.body, positive=positive)
    if positive:
        if isinstance(case.body, dict) and case.body.get("maxCost"):
            case.body["maxCost"] = dict.fromkeys(case.body["maxCost"], PRICE_MAX)  # Below the price it is refused.
        # Every other time, so that missing things are asked for too. A page token comes from the page before only.
        case.query.pop("pageToken", None)
        if next(_calls[case.operation.label]) % 2 and case.method != "DELETE":
            _name_real_things(case.path_parameters, case.path)
    # What was filled in leaves right requests right and wrong ones wrong; judged again, every file would be wrong.
    case._record_starting_state()
    if case.path.endswith("/events") and _looks(case.path_parameters.get("job_id"), r"job_[0-9a-z]{26}"):
        _end(case.path_parameters["job_id"])


def _end(job_id: str) -> None:
    """A stream lasts as long as its job, and this job waits for workers that are not there."""
    headers = {"Authorization": f"Bearer {FACTS.api_key}"}
    requests.post(f"{FACTS.url}/api/v1/jobs/{job_id}/cancel", headers=headers, timeout=30)


def _prove(form: dict[str, Any]) -> None:
    """Sign the form, or put the key in, where those fields were not meant to be wrong."""
    if _looks(form.get("user_key"), r"[!-~]{1,256}"):
        form["user_key"] = FACTS.user_key
    proof = {"appId": r"[!-~]{1,128}", "timestamp": r"[0-9]{13}", "sign": r"[0-9A-Fa-f]{64}"}
    if all(_looks(form.get(name), pattern) for name, pattern in proof.items()):
        stamp = str(int(time.time() * 1000))
        signed = f"{FACTS.app_id}{FACTS.app_secret}{stamp}"
        form |= {"appId": FACTS.app_id, "timestamp": stamp, "sign": hashlib.sha256(signed.encode()).hexdigest()}


def _looks(value: Any, pattern: str) -> bool:
    return isinstance(value, str) and re.fullmatch(pattern, value, re.ASCII | re.DOTALL) is not None


def _make_real(body: dict[str, Any], *, positive: bool) -> None:
    """Addresses lead to a site of the test, files are pictures, and no job has more inputs than the house takes."""
    left = INPUTS_MAX
    for name, value in body.items():
        if name in LISTS and isinstance(value, list):
            body[name] = [_real(one) for one in (value[: max(left, 0)] if positive else value)]
            left -= len(value)
        elif name == "files" and isinstance(value, list):
            body[name] = [PICTURE if _is_file(one) else one for one in value]
        elif name == "input_image" and _is_file(value):
            body[name] = PICTURE
        elif name == "imageUrl" and _looks(value, r"\[.+\]"):
            body[name] = json.dumps([PICTURE_URL] * 2)
        else:
            body[name] = _real(value)


def _is_file(value: Any) -> bool:
    return isinstance(value, (bytes, Binary))


def _real(value: Any) -> Any:
    """Where an address stands that is not meant to be wrong, one that answers; nothing else is touched."""
    if isinstance(value, dict):
        return {name: _real(one) for name, one in value.items()}
    return PICTURE_URL if _looks(value, r"https?://.*") and len(value) <= URL_CHARS_MAX else value


def _name_real_things(path_parameters: dict[str, Any], path: str) -> None:
    opaque, task_id = FACTS.linked(path)
    real = {
        "job_id": FACTS.queued_id if path.endswith("/cancel") else FACTS.job_id,
        "asset_id": FACTS.asset_id,
        "task_no": FACTS.job_id,
        "task_id": task_id,
        "opaque": opaque,
        "name": FACTS.result,
        "number": 1,
    }
    path_parameters |= {name: value for name, value in real.items() if name in path_parameters}


@schemathesis.check
def refused_in_the_body(ctx: Any, response: Any, case: Any) -> None:
    """negative_data_rejection for contracts whose status is always 200."""
    if _says(response, case) is False or not _speaks_in_bodies(case) or _is_fine_as_text(case):
        return
    negative_data_rejection(ctx, response, case)


@schemathesis.check
def accepted_in_the_body(ctx: Any, response: Any, case: Any) -> None:
    """positive_data_acceptance for contracts whose status is always 200."""
    if case.meta is None or not case.meta.generation.mode.is_positive or _says(response, case) is not False:
        return
    body = response.json()
    if body.get("code") not in SIGNED_FINE and {body.get("msg"), body.get("err_msg")}.isdisjoint(FINE_WORDS):
        raise AssertionError(f"Valid data should have been accepted: {body}")


def _is_fine_as_text(case: Any) -> bool:
    """Whether a form is right once everything in it is text: what broke one alternative may be the other one then."""
    if not isinstance(case.body, dict):
        return False
    schema = case.operation.get_body_for_media_type(case.media_type).validation_schema
    properties: dict[str, Any] = schema["properties"]
    # A list is the field several times, of which the last counts, or not at all.
    sent = {name: value if isinstance(value, list) else [value] for name, value in case.body.items()}
    given = {name: values[-1] for name, values in sent.items() if values and name in properties}
    return set(schema["required"]) <= set(given) and all(
        any(jsonschema_rs.is_valid(properties[name], reading) for reading in _readings(value))
        for name, value in given.items()
    )


def _readings(value: Any) -> list[Any]:
    """What the text that a value becomes in a form can be read as."""
    if _is_file(value):
        return ["file"]
    text = value if isinstance(value, str) else json.dumps(value)
    if _looks(text, r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,2})?|true|false"):
        return [text, json.loads(text)] if not _looks(text, r"-?0[0-9].*") else [text, float(text)]
    return [text]


def _speaks_in_bodies(case: Any) -> bool:
    return case.method == "POST" and case.path.startswith(("/ai/draw/", "/api/submit_", "/api/check_task_status"))


def _says(response: Any, case: Any) -> bool | None:
    """Whether the body says yes; None where the status does."""
    if not _speaks_in_bodies(case) or response.status_code != 200:
        return None
    body = response.json()
    return bool(body.get("code") == 200 or body.get("err_code") == 0)
