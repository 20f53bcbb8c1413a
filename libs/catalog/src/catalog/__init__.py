"""The model catalogue: what can be asked for, how it is checked, what it costs and who makes it.

`load(folder)` reads `*.yaml` into a `Catalog`; a `Model` validates a request, prices it and maps it for its routes.
The catalogue is read at submit time only: what it said travels frozen with the job.
"""

from catalog.load import CatalogInvalid, load
from catalog.model import Catalog, InputRule, Model, ParametersInvalid, RouteRule
from catalog.price import OUTCOMES, Measure, Pixels, PriceOption, PriceRule, Size

__all__ = [
    "OUTCOMES",
    "Catalog",
    "CatalogInvalid",
    "InputRule",
    "Measure",
    "Model",
    "ParametersInvalid",
    "Pixels",
    "PriceOption",
    "PriceRule",
    "RouteRule",
    "Size",
    "load",
]
