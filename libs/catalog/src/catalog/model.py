"""Models of the catalogue: plain data that answers whether a request is valid, what it costs and who makes it."""

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import jsonschema_rs

from catalog.price import NOT_MEASURED, OUTCOMES, Measure, PriceOption, PriceRule, Size

JsonObject = dict[str, Any]


class ParametersInvalid(ValueError):
    """A parameter or the set of inputs is wrong. `field` names it; the message is safe to show."""

    def __init__(self, field_name: str, message: str) -> None:
        super().__init__(message)
        self.field = field_name
        self.message = message


@dataclass(frozen=True, kw_only=True)
class InputRule:
    """How many inputs of one role a model takes."""

    role: str
    minimum: int = 0
    maximum: int = 1
    kind: str = "image"  #: "image" or "video".

    def __post_init__(self) -> None:
        if not 0 <= self.minimum <= self.maximum:
            raise ValueError(f"inputs of role {self.role!r}: need 0 <= min <= max")


@dataclass(frozen=True, kw_only=True)
class RouteRule:
    """One way to make the result.

    `parameters` maps the provider's names to ours ("$name") or to constants; None passes ours as they are.
    """

    provider: str
    upstream_model: str
    priority: int = 0  #: Lower ones are tried first, as with DNS SRV records.
    weight: int = 1  #: Shares the load among routes of one priority; 0 comes last among them.
    equivalence: str = ""  #: A job only goes on to routes of the same word as its first one: what they make is alike.
    cost: PriceRule | None = None  #: What one output costs us there, in fen.
    parameters: Mapping[str, Any] | None = None

    def map_parameters(self, ours: JsonObject) -> JsonObject:
        """Return the provider's parameters; one of ours that is absent is left out."""
        if self.parameters is None:
            return dict(ours)
        mapped: JsonObject = {}
        for name, value in self.parameters.items():
            if isinstance(value, str) and value.startswith("$"):
                if value[1:] in ours:
                    mapped[name] = ours[value[1:]]
            else:
                mapped[name] = value
        return mapped


@dataclass(frozen=True, kw_only=True)
class Model:
    """One thing that can be asked for."""

    name: str
    capability: str
    title: str
    schema: JsonObject = field(repr=False)  #: JSON Schema (2020-12) of the parameters: one flat object.
    inputs: tuple[InputRule, ...] = ()
    price: tuple[PriceRule, ...]  #: Ways to pay, tried in order.
    routes: tuple[RouteRule, ...]
    contracts: tuple[str, ...] = ("open", "grpc")
    enabled: bool = True
    pool: str = "default"
    deadline_s: int = 600
    retention_s: int = 0  #: How long outputs are kept; 0 means for good.
    job_retention_s: int = 0  #: How long the job itself can be asked for; 0 means for good.
    outputs_parameter: str = ""  #: The parameter that says how many outputs are asked for; empty means one.
    measure: Measure = NOT_MEASURED  #: Where seconds and megapixels come from, for prices by them.
    charges: Mapping[str, int] = field(
        default_factory=dict
    )  #: Percent of the price by outcome; 0 for what is not there.
    moderated_parameters: tuple[str, ...] = ("prompt", "negative_prompt")

    def __post_init__(self) -> None:
        for rule in self.price:
            if rule.per not in self.measure.kinds:
                raise ValueError(f"a price per {rule.per} needs measure.{rule.per}")
        for route in self.routes:
            if route.cost is not None and (route.cost.unit != "fen" or route.cost.per not in self.measure.kinds):
                raise ValueError(f"routes: the cost at {route.provider} must be in fen, per what the model measures")
        for outcome, percent in self.charges.items():
            if outcome not in OUTCOMES:
                raise ValueError(f"charges: {outcome!r} is not one of {', '.join(OUTCOMES)}")
            if isinstance(percent, bool) or not isinstance(percent, int) or not 0 <= percent <= 100:
                raise ValueError(f"charges: {outcome} must be a whole number from 0 to 100")

    @cached_property
    def _validator(self) -> Any:
        # The mask keeps a partner's values (whole prompts, perhaps) out of messages.
        return jsonschema_rs.Draft202012Validator(self.schema, mask="the value")

    def validate(self, parameters: JsonObject) -> JsonObject:
        """Return the parameters with defaults filled in, keys sorted. Raises ParametersInvalid naming the field."""
        for error in self._validator.iter_errors(parameters):
            raise _explain(error)
        properties: Mapping[str, Any] = self.schema.get("properties", {})
        filled = {
            name: rule["default"] for name, rule in properties.items() if "default" in rule and name not in parameters
        }
        for name, value in parameters.items():
            # JSON Schema calls 1024.0 an integer; what comes after must not have to.
            whole = isinstance(value, float) and properties.get(name, {}).get("type") == "integer"
            filled[name] = int(value) if whole else value
        return dict(sorted(filled.items()))

    def check_inputs(self, roles: Iterable[str]) -> None:
        """Raise ParametersInvalid unless the roles given fit the model's rules."""
        given = Counter(roles)
        for rule in self.inputs:
            count = given.pop(rule.role, 0)
            if count < rule.minimum:
                raise ParametersInvalid(rule.role, f"{self.name} needs at least {rule.minimum} {rule.role} input(s)")
            if count > rule.maximum:
                raise ParametersInvalid(rule.role, f"{self.name} takes at most {rule.maximum} {rule.role} input(s)")
        for role in given:
            raise ParametersInvalid(role, f"{self.name} takes no {role} input")

    def outputs(self, parameters: JsonObject) -> int:
        """How many outputs validated parameters ask for."""
        return int(parameters[self.outputs_parameter]) if self.outputs_parameter else 1

    def price_options(self, parameters: JsonObject, size: Size | None = None) -> tuple[PriceOption, ...]:
        """What one output costs, in each of the ways to pay; `size` is of the first input of `measure.input`."""
        quantities = self.measure.quantities(parameters, size)
        return tuple(rule.option(quantities) for rule in self.price)

    def plan_routes(
        self, seed: str, parameters: JsonObject, size: Size | None, accepted: Iterable[PriceOption]
    ) -> tuple[RouteRule, ...]:
        """The routes of one request in the order to try them, at least one.

        By priority, and among equals in a random order by weight that follows from `seed`. A later route is there only
        if it is equivalent to the first and costs us no more than was accepted: the price in fen, or else what the
        first route costs.
        """
        first, *others = sorted(self.routes, key=lambda route: (route.priority, -_draw(seed, route)))
        prices = [option.amount_per_output for option in accepted if option.unit == "fen"]
        ceiling = max(prices) if prices else self._cost(first, parameters, size) or math.inf
        fitting = [
            route
            for route in others
            if route.equivalence == first.equivalence and self._cost(route, parameters, size) <= ceiling
        ]
        return (first, *fitting)

    def _cost(self, route: RouteRule, parameters: JsonObject, size: Size | None) -> float:
        """What one output costs us there, in fen; a cost by a size that nobody measured is as high as can be."""
        if route.cost is None:
            return 0
        if route.cost.per == "output":
            return route.cost.option({}).amount_per_output
        if self.measure.input and size is None:
            return math.inf
        return route.cost.option(self.measure.quantities(parameters, size)).amount_per_output

    def priced_by(self, parameters: JsonObject) -> JsonObject:
        """The validated parameters that the price depends on; None for those not given."""
        names = {*self.measure.parameters, self.outputs_parameter} - {""}
        return {name: parameters.get(name) for name in sorted(names)}

    def moderated_texts(self, parameters: JsonObject) -> list[tuple[str, str]]:
        """(field, text) pairs that moderation must see."""
        pairs = ((name, parameters.get(name)) for name in self.moderated_parameters)
        return [(name, text) for name, text in pairs if isinstance(text, str) and text]


@dataclass(frozen=True, kw_only=True)
class Catalog:
    """All models, in the order of the files."""

    models: Mapping[str, Model]
    version: str  #: The first 16 hex digits of the SHA-256 of the files, for the books.

    def get(self, name: str) -> Model | None:
        return self.models.get(name)

    def offered(self, contract: str) -> Sequence[Model]:
        """The models a public contract offers, switched-off ones included."""
        return [model for model in self.models.values() if contract in model.contracts]


def _explain(error: Any) -> ParametersInvalid:
    """Turn a schema violation into a sentence that names the field."""
    path = ".".join(str(part) for part in error.instance_path)
    kind = error.kind.as_dict() if hasattr(error.kind, "as_dict") else {}
    if "property" in kind:
        name = str(kind["property"]).strip('"')
        return ParametersInvalid(f"{path}.{name}" if path else name, f"{name} is required")
    unexpected = kind.get("unexpected")
    if unexpected:
        name = str(unexpected[0])
        return ParametersInvalid(f"{path}.{name}" if path else name, f"{name} is not a parameter of this model")
    return ParametersInvalid(path, f"{path or 'parameters'}: {error.message}")


def _draw(seed: str, route: RouteRule) -> float:
    """A number whose largest is each route's in proportion to its weight (Efraimidis and Spirakis, 2006)."""
    digest = hashlib.sha256(f"{seed}\n{route.provider}\n{route.upstream_model}".encode()).digest()
    uniform = (int.from_bytes(digest[:8], "big") + 1) / (2**64 + 1)
    return uniform ** (1 / route.weight) if route.weight else 0.0
