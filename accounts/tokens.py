"""Recognizes programs by their bearer token: one that staff have made, or one of the settings."""

import hashlib
import secrets
from collections.abc import Collection, Sequence
from datetime import timedelta

from django.db.models import Q
from django.db.models.functions import Now
from django.http import HttpRequest
from django.utils import timezone

from accounts.models import User
from accounts.token_models import ApiToken

PREFIX = "orderly_"  # a scanner of leaked secrets, and whoever finds one in a log, sees what it is
NOTED_EVERY = timedelta(minutes=1)
MAX_DAYS = 36_500  # for which a token may be made


def shows_token(request: HttpRequest, tokens: Sequence[str]) -> bool:
    """Whether the request has one of the tokens."""
    sent = request.headers.get("Authorization", "").encode()
    return any(secrets.compare_digest(sent, f"Bearer {token}".encode()) for token in tokens)


def create_token(
    *, name: str, scopes: Collection[str], days: int | None = None, actor: User | None = None
) -> tuple[ApiToken, str]:
    """Make a token, for so many days or for good. Return its row, and the token itself, which can't be read again."""
    secret = PREFIX + secrets.token_urlsafe(32)
    row = ApiToken.objects.create(
        name=name,
        scopes=sorted(set(scopes)),
        digest=_digest(secret),
        expires_at=timezone.now() + timedelta(days=days) if days else None,
        created_by=actor,
    )
    return row, secret


def find_token(request: HttpRequest) -> ApiToken | None:
    """The row of the token that the request has, if it is still good. Its use is noted, at most once a minute."""
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    if scheme != "Bearer":
        return None
    token = ApiToken.objects.valid().filter(digest=_digest(secret)).first()
    if token and (token.last_used_at is None or token.last_used_at < timezone.now() - NOTED_EVERY):
        unnoted = Q(last_used_at=None) | Q(last_used_at__lt=Now() - NOTED_EVERY)
        ApiToken.objects.filter(unnoted, pk=token.pk).update(last_used_at=Now())
    return token


def revoke_token(token: ApiToken) -> None:
    """From now on nobody is recognized by it. A repeat changes nothing."""
    ApiToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=Now())


def _digest(secret: str) -> str:
    # Fast on purpose: 32 random bytes can't be guessed, so nothing slow has to stand before them.
    return hashlib.sha256(secret.encode()).hexdigest()
