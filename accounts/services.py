"""Proves by a signed link, mailed to an address, that the address belongs to whoever opens the link."""

from typing import Any

from django.conf import settings
from django.core import signing

from accounts.models import User

VERIFY_SALT = "accounts.verify_email"
SIGN_UP_SALT = "accounts.sign_up"


class LinkInvalid(Exception):
    """The link is too old, belongs to another account, or is not from this shop."""


def make_sign_up_token(email: str) -> str:
    return signing.dumps(email, salt=SIGN_UP_SALT)


def read_sign_up_token(token: str) -> str:
    """Return the address that the token was mailed to. Its reader may open an account with it. Raises LinkInvalid."""
    return str(_read(token, salt=SIGN_UP_SALT))


def make_verification_token(user: User) -> str:
    return signing.dumps([user.pk, user.email], salt=VERIFY_SALT)


def verify_email(*, user: User, token: str) -> None:
    """Mark the user's email as verified. A repeat changes nothing. Raises LinkInvalid.

    `user` must be the one who is logged in. Staff may mistype a user's address: its owner would then open the link, and
    somebody else's account would show the owner's orders.
    """
    if _read(token, salt=VERIFY_SALT) != [user.pk, user.email]:
        raise LinkInvalid
    user.verified_email = user.email
    user.save(update_fields=["verified_email"])


def _read(token: str, *, salt: str) -> Any:
    try:
        return signing.loads(token, salt=salt, max_age=settings.VERIFICATION_LINK_AGE)
    except signing.BadSignature as error:
        raise LinkInvalid from error
