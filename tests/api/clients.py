"""How the tests send requests to the API."""

import json
from typing import Any

from django.test import Client

from accounts.tokens import create_token


def make_token(*scopes: str) -> str:
    return create_token(name="-".join(["token", *scopes]), scopes=scopes)[1]


def send(client: Client, path: str, body: object = None, *, token: str = "", key: str = "", **headers: str) -> Any:
    """POST the body to an address of version 1; without a body, GET it."""
    if token:
        headers["Authorization"] = f"Bearer {token}"
    if key:
        headers["Idempotency-Key"] = key
    if body is None:
        return client.get(f"/api/v1/{path}", headers=headers)
    return client.post(f"/api/v1/{path}", json.dumps(body), content_type="application/json", headers=headers)
