"""What stands in place of an email address where nobody is to be recognized."""

from django.utils.crypto import salted_hmac

SALT = "accounts.pseudonyms"
DOMAIN = "erased.invalid"  # no mail ever arrives there: RFC 2606
ERASED = "[erased]"  # in place of words that somebody wrote


def make_pseudonym(email: str) -> str:
    """An address of nobody: always the same for an email in its one form, as long as SECRET_KEY is the same.

    That of a pseudonym is itself. Who has only the pseudonym can't tell the email. Who has SECRET_KEY can tell whether
    it is that of a given email.
    """
    if is_pseudonym(email):
        return email
    return f"{salted_hmac(SALT, email, algorithm='sha256').hexdigest()[:24]}@{DOMAIN}"


def is_pseudonym(email: str) -> bool:
    """Whether the customer was erased, and has no address any more."""
    return email.endswith(f"@{DOMAIN}")
