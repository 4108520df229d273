"""How the API reads a body, and the kinds of fields in it, each with its limits."""

import json
from typing import Annotated, Any

from django.core.exceptions import ValidationError
from django.http import HttpRequest
from ninja import Header, Path
from ninja.parser import Parser
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema

from accounts.email_addresses import read_email_address
from api.problems import RequestRefused
from catalog.texts import MAX_SKU, normalize, read_sku
from orders.models import MAX_METADATA
from payments.refund_models import MAX_NUMBER

CODE_PATTERN = "[0-9A-Z-]{1,18}"
MAX_AMOUNT = 2**53
MAX_DEPTH = 6  # of metadata
MAX_HOLD = 366 * 24 * 3600  # seconds
MAX_LINES = 5_000
MAX_QUANTITY = 1_000_000


class Asked(BaseModel):
    """What a client sends. A field that nobody knows is refused."""

    model_config = ConfigDict(extra="forbid")


class JsonParser(Parser):
    def parse_body(self, request: HttpRequest) -> Any:
        if request.content_type != "application/json":
            raise RequestRefused("unsupported_media_type", "Send application/json.")
        try:
            return json.loads(request.body, object_pairs_hook=_read_object)
        except (ValueError, RecursionError) as error:  # not UTF-8, not JSON, or nested too deep
            raise RequestRefused("malformed_json", "The body is not JSON, or a name stands in it twice.") from error


def _read_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Of a name that stands there twice, whoever checked the body before us may have read the other value."""
    read = dict(pairs)
    if len(read) < len(pairs):
        raise ValueError("a name stands there twice")
    return read


def _read_email(value: str) -> str:
    try:
        return read_email_address(value)
    except ValidationError as error:
        raise ValueError("not an email address that a mail can be sent to") from error


def _read_sku(value: str) -> str:
    try:
        return read_sku(value)
    except ValidationError as error:
        raise ValueError(f"send 1 to {MAX_SKU} visible characters") from error


def read_path_sku(text: str) -> str:
    """Read the SKU of an address. What can't be one is not found."""
    try:
        return read_sku(text)
    except ValidationError as error:
        raise RequestRefused("not_found", "There is no such product.") from error


def _check_printable(value: str) -> str:
    if not value.isprintable():
        raise ValueError("send printable characters")
    return value


def _check_some(value: int) -> int:
    if not value:
        raise ValueError("send a number that is not 0")
    return value


def _check_metadata(value: dict[str, Any]) -> dict[str, Any]:
    _check_kept(value, depth=MAX_DEPTH)
    if len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()) > MAX_METADATA:
        raise ValueError(f"send at most {MAX_METADATA} bytes")
    return value


def _check_kept(value: object, *, depth: int) -> None:
    """Raise ValueError for what PostgreSQL would refuse, or would give back as something else."""
    if not depth:
        raise ValueError(f"send at most {MAX_DEPTH} levels")
    match value:
        case str():
            if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
                raise ValueError("send text that is Unicode, without NUL")
        case dict():
            for part in [*value, *value.values()]:
                _check_kept(part, depth=depth - 1)
        case list():
            for part in value:
                _check_kept(part, depth=depth - 1)
        case int() if abs(value) > MAX_AMOUNT:
            raise ValueError(f"send numbers up to {MAX_AMOUNT}, or text")
        case None | int():
            pass
        case _:
            raise ValueError("send whole numbers, or text: a fraction may come back as another one")


Email = Annotated[str, AfterValidator(_read_email), WithJsonSchema({"type": "string", "format": "email"})]
Sku = Annotated[
    str, AfterValidator(_read_sku), WithJsonSchema({"type": "string", "minLength": 1, "maxLength": MAX_SKU})
]
SkuInPath = Annotated[str, Path(description="The product's SKU. It may have a slash in it.")]
PaymentMethod = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_check_printable)]
Gateway = Annotated[str, Field(min_length=1, max_length=32), AfterValidator(_check_printable)]
Currency = Annotated[str, Field(min_length=1, max_length=3), AfterValidator(_check_printable)]
Note = Annotated[str, Field(max_length=500), AfterValidator(_check_printable)]
# Strict: True and 1.0 are no whole numbers.
Amount = Annotated[int, Field(strict=True, ge=1, le=MAX_AMOUNT, description="In minor units: 255 is 2.55 pounds.")]
Quantity = Annotated[int, Field(strict=True, ge=1, le=MAX_QUANTITY)]
Metadata = Annotated[
    dict[str, Any],
    AfterValidator(_check_metadata),
    Field(description=f"What you want to keep with the order: up to {MAX_METADATA} bytes of JSON, without fractions."),
]
Seconds = Annotated[int, Field(strict=True, ge=0, le=MAX_HOLD)]
PaymentNumber = Annotated[int, Field(strict=True, ge=1, le=1_000)]
RefundNumber = Annotated[int, Field(strict=True, ge=1, le=MAX_NUMBER)]
Units = Annotated[int, Field(strict=True, ge=-MAX_QUANTITY, le=MAX_QUANTITY), AfterValidator(_check_some)]
Reason = Annotated[
    str, Field(min_length=1, max_length=200), AfterValidator(normalize), AfterValidator(_check_printable)
]
Key = Annotated[str, Header(alias="Idempotency-Key", min_length=1, max_length=255, pattern=r"^[ -~]+$")]
OptionalKey = Annotated[str, Header(alias="Idempotency-Key", max_length=255, pattern=r"^[ -~]*$")]
