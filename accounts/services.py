"""How an email address is shown to be its account's: by a signed link, mailed to it and opened by who is logged in."""

from django.conf import settings
from django.core import signing

from accounts.models import User

SALT = "accounts.verify_email"


class LinkInvalid(Exception):
    """The link is too old, or another account's, or none of ours."""


def make_verification_token(user: User) -> str:
    return signing.dumps([user.pk, user.email], salt=SALT)


def verify_email(*, user: User, token: str) -> None:
    """Note that the email is the user's. A repeat does it again. Raises LinkInvalid.

    The user is who is logged in. Otherwise somebody could sign up with another's email, wait until its owner opens
    the link, and find the owner's orders in an account that only the stranger has the password of.
    """
    try:
        asked = signing.loads(token, salt=SALT, max_age=settings.VERIFICATION_LINK_AGE)
    except signing.BadSignature as error:
        raise LinkInvalid from error
    if asked != [user.pk, user.email]:
        raise LinkInvalid
    user.verified_email = user.email
    user.save(update_fields=["verified_email"])
