"""What goes in and out of the provider: requests, answers and errors, in Stripe's shapes."""

import json
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Request:
    """A call, its parameters flat under the names Stripe sends them by, such as `metadata[reference]`."""

    path: str
    params: dict[str, str]
    object_id: str = ""  # of the payment intent in the path
    key: str | None = None  # Idempotency-Key
    origin: str = ""  # where browsers find the sandbox

    def nested(self, name: str) -> dict[str, str]:
        """The parameters below one: {"reference": "x"} for metadata[reference]=x."""
        return {k[len(name) + 1 : -1]: v for k, v in self.params.items() if k.startswith(f"{name}[")}

    def expands(self, field: str) -> bool:
        return field in self.nested("expand").values()


@dataclass(frozen=True, kw_only=True)
class Answer:
    status: int
    body: str
    replayed: bool = False
    trickles: bool = False  # byte by byte, head and body
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)


class InvalidRequest(Exception):
    """Stripe's refusal of a request that it did not begin to execute; it is never saved under a key."""

    def __init__(self, status: int, error_type: str, message: str, **fields: Any) -> None:
        super().__init__(message)
        self.answer = refuse(status, error_type, message, **fields)


def reply(status: int, content: dict[str, Any]) -> Answer:
    return Answer(status=status, body=json.dumps(content))


def refuse(status: int, error_type: str, message: str, **fields: Any) -> Answer:
    return reply(status, {"error": {"type": error_type, "message": message} | fields})


def missing(message: str, *, param: str, status: int = 404) -> InvalidRequest:
    return InvalidRequest(status, "invalid_request_error", message, code="resource_missing", param=param)


def invalid(message: str, *, param: str, code: str = "parameter_invalid") -> InvalidRequest:
    return InvalidRequest(400, "invalid_request_error", message, code=code, param=param)


def whole_number(request: Request, name: str, *, lowest: int, highest: int, default: int | None = None) -> int:
    text = request.params.get(name, "" if default is None else str(default))
    if not text:
        raise invalid(f"Missing required param: {name}.", param=name, code="parameter_missing")
    # isdecimal() alone lets other alphabets' digits pass.
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):
        raise invalid(f"Invalid integer: {name}", param=name, code="parameter_invalid_integer")
    if not lowest <= int(text) <= highest:
        size = "small" if int(text) < lowest else "large"
        raise invalid(f"{name} must be between {lowest} and {highest}", param=name, code=f"{name}_too_{size}")
    return int(text)


def read_times(request: Request) -> tuple[int, int]:
    """The seconds of created[gte] and created[lt], which limit a list."""
    largest = 10**11
    since = whole_number(request, "created[gte]", lowest=0, highest=largest, default=0)
    return since, whole_number(request, "created[lt]", lowest=0, highest=largest, default=largest)


def check_names(request: Request, *allowed: str) -> None:
    for name in request.params:
        if name.split("[")[0] not in allowed:
            raise invalid(f"Received unknown parameter: {name}", param=name, code="parameter_unknown")
