"""What was asked for and decided before a job was accepted; it never changes afterwards."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from kit.errors import ErrorReason


@dataclass(frozen=True, kw_only=True, slots=True)
class Input:
    """One input, in the order the partner gave them; exactly one of `asset_id` and `url` is set."""

    role: str
    asset_id: str = ""
    url: str = ""
    label: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Route:
    """One way to make the result, frozen from the catalogue."""

    provider: str
    upstream_model: str = ""
    parameters_json: str = ""
    weight: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Amount:
    """A number of units; `unit` is the number of the proto's enum, 0 before anything was held."""

    unit: int
    value: int


@dataclass(frozen=True, kw_only=True, slots=True)
class PriceOption:
    """So many units for each output."""

    unit: int
    amount_per_output: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Price:
    """What the job costs; the hold takes the first option that the wallet covers."""

    options: tuple[PriceOption, ...]
    outputs: int
    catalog_version: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Output:
    """One stored and verified result; an `extra` one (a grid, a vector) is not counted by the price."""

    asset_id: str
    sha256: str
    size_bytes: int
    role: str = ""
    mime_type: str = ""
    width: int = 0
    height: int = 0
    extra: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """Why a job has no result; `message` is safe to show."""

    reason: ErrorReason
    message: str = ""
    field: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """Everything about a job that is decided before it is accepted."""

    job_id: str
    client_id: str
    external_id: str  #: "" when the contract has no form of its own.
    contract: str
    model: str
    capability: str
    parameters_json: str
    inputs: tuple[Input, ...]
    routes: tuple[Route, ...]
    pool: str
    priority: int
    price: Price
    deadline_s: float  #: Counted from acceptance.
    retention_s: float | None  #: None keeps the outputs for good.
    job_retention_s: float | None = None  #: How long the job itself is kept; None for good.
    webhook_url: str
    labels: Mapping[str, str] = field(default_factory=dict)
    charges: Mapping[int, int] = field(default_factory=dict)  #: Percent by outcome; see domain/charge.py.
    fingerprint: str  #: Tells a repeat of this order from another order under the same id or key.

    def __post_init__(self) -> None:
        assert self.routes, "a job without a route can never be made"
        assert self.deadline_s > 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """How an order is taken on: what holds for this call, not for the job."""

    idempotency_key: str = ""  #: "" for none.
    in_flight_max: int = 0  #: Unfinished jobs the client may have, this one included; 0 for no limit.
    per_day_max: int = 0  #: Jobs of the client accepted on one day, this one included; 0 for no limit.
    day: int = 0  #: Days since 1970-01-01 in the deployment's time zone.
    weight: int = 1  #: The client's share when workers are scarce.
