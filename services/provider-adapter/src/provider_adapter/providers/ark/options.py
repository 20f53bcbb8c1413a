"""What an operator configures of Ark."""

from collections.abc import Mapping
from typing import Literal

from pydantic import AnyHttpUrl, Field

from provider_adapter.providers.remote.options import Credential, RemoteOptions


class Options(RemoteOptions):
    """One account of Ark."""

    kind: Literal["ark"]
    base_url: AnyHttpUrl = AnyHttpUrl("https://ark.cn-beijing.volces.com/api/v3")

    key: Credential

    #: Own endpoints ("ep-…") and the model that each serves. Ark takes an endpoint's id in place of a model's, but the
    #: id does not tell what the model can do; without an entry here, that is left to Ark to judge.
    endpoints: Mapping[str, str] = Field(default_factory=dict)

    #: Seconds for the whole answer to an order of pictures, which are drawn while the call is open. The vendor's own
    #: client waits as long.
    work_s: float = Field(600.0, gt=0, le=3600)

    def model_of(self, upstream_model: str) -> str:
        """The model behind what a route names."""
        return self.endpoints.get(upstream_model, upstream_model)
