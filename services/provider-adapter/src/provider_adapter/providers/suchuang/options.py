"""What an operator configures of a SuChuang account; what the vendor does not publish has no default."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AnyHttpUrl, Field, field_validator

from provider_adapter.providers.remote.options import Credential, RemoteOptions
from provider_adapter.providers.suchuang.families import KNOWN, Family

FamilyName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]

#: Classes of trouble that a code or a message of theirs can stand for; values of `Trouble`.
Meaning = Literal[
    "account",
    "broken",
    "gone",
    "input_moderated",
    "invalid",
    "output_moderated",
    "throttled",
    "timed_out",
    "unavailable",
]


class Options(RemoteOptions):
    """One account."""

    kind: Literal["suchuang"]
    base_url: AnyHttpUrl = AnyHttpUrl("https://api.wuyinkeji.com")
    key: Credential

    #: Calls whose address carries the key, too. All carry it as a header; the clients that were seen ask with both.
    key_in_query: Literal["never", "details", "always"] = "details"

    #: Families beyond the known ones, whole, and changes to known ones: `{nanoBanana: {ratios: ["1:1", "3:2"]}}`.
    families: Mapping[FamilyName, Family] = Field(default_factory=lambda: dict(KNOWN))

    #: What their numbers mean in `code`, of orders and of questions. An order refused with any other one is not
    #: repeated with them; a question answered with any other one is asked again.
    codes: Mapping[int, Meaning] = Field(default_factory=dict)

    #: What pieces of their messages mean, in refused orders and failed tasks; the first that fits counts.
    messages: Mapping[Annotated[str, Field(min_length=2)], Meaning] = Field(default_factory=dict)

    @field_validator("families", mode="before")
    @classmethod
    def _beside_the_known(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        merged: dict[Any, Any] = dict(KNOWN)
        for name, facts in given.items():
            known = KNOWN.get(name)
            merged[name] = known.model_dump() | facts if known and isinstance(facts, dict) else facts
        return merged
