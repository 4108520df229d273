"""Order codes, which customers read aloud."""

import re
import secrets

from django.utils import timezone

CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # no I, L, O or U: nobody misreads a code on the phone
PATTERN = "[0-9]{6}-[0-9A-Z]{5}-[0-9A-Z]{5}"
MISREAD = str.maketrans("ILO", "110")


def read_code(text: str) -> str:
    """The code that somebody typed: in either case, with or without its hyphens, an O for a zero."""
    return re.sub("^(.{6})(.{5})(.{5})$", r"\1-\2-\3", re.sub(r"[\s-]", "", text).upper().translate(MISREAD))


def make_code() -> str:
    """A new order code such as 261124-7K3QM-9XZ2F: the day, then 50 random bits."""
    # 256 is a multiple of their number, so all characters are equally likely.
    random = "".join(CROCKFORD[byte % len(CROCKFORD)] for byte in secrets.token_bytes(10))
    return f"{timezone.now():%y%m%d}-{random[:5]}-{random[5:]}"
