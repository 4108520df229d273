"""What the API's document says beside the schemas of its operations."""

from functools import cached_property
from typing import Any

from ninja import NinjaAPI
from ninja.openapi.schema import OpenAPISchema
from ninja.operation import Operation

from api.schemas import Problem

REFUSED = {
    400: "A field, the key or the body is wrong",
    401: "The token is missing, unknown, expired or revoked",
    403: "The client may not do this",
    404: "There is no such thing",
    409: "It is refused as things stand now",
    413: "The body is too large",
    415: "The body is not application/json",
    422: "The key or the number was used for something else",
    429: "Too many in a short time: see Retry-After",
    503: "The shop is busy: the same request may succeed later, see Retry-After",
}


def refuses(*statuses: int) -> dict[str, Any]:
    """The argument of an operation that names the statuses by which it refuses; any may answer 503."""
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    answers = {status: {"description": REFUSED[status], "content": content} for status in [*statuses, 503]}
    return {"openapi_extra": {"responses": answers}}


class DocumentedApi(NinjaAPI):
    """Its document names operations as our code does, has the schema of a problem, and is made once."""

    @cached_property
    def document(self) -> OpenAPISchema:
        document = super().get_openapi_schema()
        document["components"]["schemas"]["Problem"] = Problem.model_json_schema()
        return document

    def get_openapi_operation_id(self, operation: Operation) -> str:
        return operation.view_func.__name__

    def get_openapi_schema(self, **_kwargs: Any) -> OpenAPISchema:
        return self.document
