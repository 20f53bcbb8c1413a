"""The vendor's answers → ours: the algorithm's codes, the gateway's words, and what a finished task holds.

Two parties answer. The algorithm says `{"code", "data", "message", …}`, and 10000 is success. The gateway before it
says `{"ResponseMetadata": {"Error": {"Code", …}}}` and never got as far as a task.
"""

from dataclasses import dataclass
from typing import Any, Final

import orjson

from provider_adapter.ports import OutputFile
from provider_adapter.providers.remote.http import NotReadable, Reply
from provider_adapter.providers.remote.inline import of_base64
from provider_adapter.providers.remote.provider import Refused, trouble_of_status
from provider_adapter.providers.remote.results import Results
from provider_adapter.providers.remote.trouble import Trouble

SUCCESS: Final = 10000
INTERNAL: Final = frozenset({50500, 50501})
DENIED: Final = 50400
OUTPUTS_MAX: Final = 32  # The vendor makes 15.


@dataclass(frozen=True)
class Meaning:
    """What a code says."""

    trouble: Trouble
    field: str = ""  #: "prompt", "inputs", or "" for a code that says nothing of what was sent.
    message: str | None = None  #: Ours, where the class's own does not fit.


_UNCHECKED: Final = Meaning(Trouble.INVALID, message="The provider could not check the content.")

CODES: Final = {
    50411: Meaning(Trouble.INPUT_MODERATED, "inputs"),
    50511: Meaning(Trouble.OUTPUT_MODERATED),
    50412: Meaning(Trouble.INPUT_MODERATED, "prompt"),
    50512: Meaning(Trouble.INPUT_MODERATED),  # Of a text that they made: not to be tried again, they say.
    50413: Meaning(Trouble.INPUT_MODERATED, "prompt"),
    50516: Meaning(Trouble.OUTPUT_MODERATED),
    50517: Meaning(Trouble.OUTPUT_MODERATED),
    50518: Meaning(Trouble.INPUT_MODERATED, "inputs"),
    50519: Meaning(Trouble.OUTPUT_MODERATED),
    50520: _UNCHECKED,  # Their own fault, and not to be tried again, they say; another provider may.
    50521: _UNCHECKED,
    50522: _UNCHECKED,
    50429: Meaning(Trouble.THROTTLED),
    50430: Meaning(Trouble.THROTTLED),
    50500: Meaning(Trouble.UNAVAILABLE),
    50501: Meaning(Trouble.UNAVAILABLE),
    DENIED: Meaning(Trouble.ACCOUNT),
}

GATEWAY: Final = {
    "MissingParameter": Trouble.INVALID,
    "MissingRequestInfo": Trouble.INVALID,
    "InvalidTimestamp": Trouble.ACCOUNT,  # Our clock is wrong, which the operator has to mend like a key.
    "ServiceNotFound": Trouble.ACCOUNT,
    "InvalidActionOrVersion": Trouble.ACCOUNT,
    "InvalidAccessKey": Trouble.ACCOUNT,
    "SignatureDoesNotMatch": Trouble.ACCOUNT,
    "AccessDenied": Trouble.ACCOUNT,
    "InternalError": Trouble.UNAVAILABLE,
    "InternalServiceTimeout": Trouble.NO_ANSWER,  # It waited for what is behind it, which may have taken it.
}


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What one of the two said."""

    code: int | None  #: The algorithm's.
    gateway: str  #: The gateway's word; "" when it is not the gateway's.
    data: dict[str, Any]
    succeeded: bool


def answer_in(reply: Reply) -> Answer:
    """Read a reply. Raises NotReadable for a 2xx without a code."""
    try:
        body = orjson.loads(reply.body)
    except orjson.JSONDecodeError:
        body = None
    body = body if isinstance(body, dict) else {}
    code, data, metadata = body.get("code"), body.get("data"), body.get("ResponseMetadata")
    error = metadata.get("Error") if isinstance(metadata, dict) else None
    word = error.get("Code") if isinstance(error, dict) else None
    code = code if isinstance(code, int) and not isinstance(code, bool) else None
    if reply.ok and code is None and not isinstance(word, str):
        raise NotReadable("a success without a code")
    return Answer(
        code=code,
        gateway=word if isinstance(word, str) else "",
        data=data if isinstance(data, dict) else {},
        succeeded=reply.ok and code == SUCCESS,
    )


def refusal(reply: Reply, answer: Answer, *, pictures: str = "inputs") -> Refused:
    """What an answer says that is no success. `pictures`: what a failure about the input pictures names."""
    if answer.code in CODES:
        meaning = CODES[answer.code]
        field = pictures if meaning.field == "inputs" else meaning.field
        return Refused(meaning.trouble, meaning.message, field=field, retry_after_s=reply.retry_after_s)
    trouble = GATEWAY.get(answer.gateway)
    if trouble is None:
        trouble = Trouble.INVALID if reply.ok else trouble_of_status(reply.status)
    return Refused(trouble, retry_after_s=reply.retry_after_s)


def files_in(data: dict[str, Any], results: Results, *, cost_fen: int) -> list[OutputFile]:
    """The outputs of a finished task. Raises Refused when there are none, and Unreadable when one cannot be one."""
    film, links, pictures = data.get("video_url"), data.get("image_urls"), data.get("binary_data_base64")
    if film:
        return [results.at(film, role="video", cost_fen=cost_fen)]
    if isinstance(links, list) and links:
        return [results.at(each, cost_fen=cost_fen) for each in links[:OUTPUTS_MAX]]
    if isinstance(pictures, list) and pictures:
        return [of_base64(each, cost_fen=cost_fen) for each in pictures[:OUTPUTS_MAX]]
    raise Refused(Trouble.UNUSABLE)
