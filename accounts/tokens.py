"""Recognizes programs by their bearer token."""

import secrets
from collections.abc import Sequence

from django.http import HttpRequest


def shows_token(request: HttpRequest, tokens: Sequence[str]) -> bool:
    """Whether the request has one of the tokens."""
    sent = request.headers.get("Authorization", "").encode()
    return any(secrets.compare_digest(sent, f"Bearer {token}".encode()) for token in tokens)
