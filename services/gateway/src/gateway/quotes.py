"""Quotes that are their own ids: signed by the deployment's secret, good in every process and after a restart."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable
from typing import Any, Final

import orjson
from pydantic import SecretStr

from catalog import PriceOption, Size
from gateway.usecases.price import Priced, Quote
from kit.errors import QuoteInvalid
from kit.identity import purpose_key

QUOTE_CHARS_MAX: Final = 2048  # Eight ways to pay and a handful of parameters are some 800.
_PURPOSE: Final = b"atelier/quote/v1"
_SIGNATURE_BYTES: Final = hashlib.sha256().digest_size


class SignedQuotes:
    """`usecases.price.Quotes` by HMAC."""

    def __init__(self, secret: SecretStr, *, now_ms: Callable[[], int]) -> None:
        """Raises ValueError when the secret is too short."""
        self._key = purpose_key(secret, _PURPOSE)
        self._now_ms = now_ms

    def sign(self, quote: Quote, *, ttl_s: float) -> tuple[str, int]:
        expire_ms = self._now_ms() + round(ttl_s * 1000)
        payload = orjson.dumps(_to_fields(quote) | {"exp": expire_ms})
        return base64.urlsafe_b64encode(self._mac(payload) + payload).decode().rstrip("="), expire_ms

    def open(self, quote_id: str, *, lapsed: bool = False) -> Quote:
        """Every cause has the same answer, so a forger learns nothing from it."""
        try:
            fields = self._fields(quote_id)
            if self._now_ms() >= fields["exp"] and not lapsed:
                raise ValueError("lapsed")
            return _to_quote(fields)
        except (ValueError, TypeError, KeyError) as error:
            raise QuoteInvalid(field="quote_id") from error

    def _fields(self, quote_id: str) -> dict[str, Any]:
        if len(quote_id) > QUOTE_CHARS_MAX:
            raise ValueError("too long")
        try:
            data = base64.b64decode(quote_id + "=" * (-len(quote_id) % 4), altchars=b"-_", validate=True)
        except binascii.Error as error:
            raise ValueError("not base64url") from error
        signature, payload = data[:_SIGNATURE_BYTES], data[_SIGNATURE_BYTES:]
        if not hmac.compare_digest(signature, self._mac(payload)):
            raise ValueError("wrong signature")
        fields: dict[str, Any] = orjson.loads(payload)
        return fields

    def _mac(self, payload: bytes) -> bytes:
        return hmac.digest(self._key, payload, "sha256")


def _to_fields(quote: Quote) -> dict[str, Any]:
    return {
        "client": quote.client_id,
        "model": quote.model,
        "options": [[option.unit, option.amount_per_output] for option in quote.price.options],
        "outputs": quote.price.outputs,
        "catalog": quote.price.catalog_version,
        "charges": dict(quote.price.charges),
        "parameters": dict(quote.parameters),
        "input": quote.input,
        "size": [quote.size.width, quote.size.height] if quote.size else None,
    }


def _to_quote(fields: dict[str, Any]) -> Quote:
    return Quote(
        client_id=fields["client"],
        model=fields["model"],
        price=Priced(
            options=tuple(PriceOption(unit=unit, amount_per_output=amount) for unit, amount in fields["options"]),
            outputs=fields["outputs"],
            catalog_version=fields["catalog"],
            charges=fields["charges"],
        ),
        parameters=fields["parameters"],
        input=fields["input"],
        size=Size(width=fields["size"][0], height=fields["size"][1]) if fields["size"] else None,
    )
