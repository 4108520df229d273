"""How an email address is shown to be somebody's: by a signed link, mailed to it."""

from typing import Any

from django.conf import settings
from django.core import signing

from accounts.models import User

VERIFY_SALT = "accounts.verify_email"
SIGN_UP_SALT = "accounts.sign_up"


class LinkInvalid(Exception):
    """The link is too old, or another account's, or none of ours."""


def make_sign_up_token(email: str) -> str:
    return signing.dumps(email, salt=SIGN_UP_SALT)


def read_sign_up_token(token: str) -> str:
    """The address that the token was mailed to: whoever has it may open an account with it. Raises LinkInvalid."""
    return str(_read(token, salt=SIGN_UP_SALT))


def make_verification_token(user: User) -> str:
    return signing.dumps([user.pk, user.email], salt=VERIFY_SALT)


def verify_email(*, user: User, token: str) -> None:
    """Note that the email is the user's. A repeat does it again. Raises LinkInvalid.

    The user is who is logged in. Otherwise the owner of an address that staff typed wrong would open the link, and the
    account of somebody else would show the owner's orders.
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
