"""Takes out of a text what no log and no report may have: addresses, cards, keys, tokens and secrets."""

import re
from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache
from typing import Any
from urllib.parse import unquote, urlsplit

from django.conf import settings

# The last line of defence: our own lines name orders by code, and nobody. But the text of an error may say anything.
# By kind: words, one of which is in every text of that kind, and the pattern of what goes. The words are looked for
# first, at a tenth of what the pattern costs.
HIDDEN = {
    "row": (["Failing row contains"], r"(?<=Failing row contains ).*"),  # PostgreSQL shows the row that it refuses
    "value": ([")=("], r"(?<=\)=)\(.*"),  # Key (email)=(ann@example.com) already exists
    "password": (["://"], r"(?<=://)[^/\s@:]*:[^/\s]*@(?=[^/\s])"),
    "email": (["@", "%40"], r"(?<![\w.+'%&!#$*~-])[\w.+'%&!#$*~-]+(?:@|%40)[\w-]+(?:\.[\w-]+)+"),
    "link": (["/account/"], r"(?<=/account/)(?:sign-up|verify|password)/[^\s\"'?]+"),  # it lets in whoever has it
    "key": (["sk_", "rk_", "whsec_", "orderly_", "_secret_"], r"(?:[sr]k|whsec|orderly)_[\w+/=-]{8,}|(?<=_secret_)\w+"),
    "token": (["pm_", "tok_", "card_", "src_", "earer "], r"\b(?:pm|tok|card|src)_\w{4,}|(?<=[Bb]earer )[\w.~+/=-]+"),
    "card": ([""], r"(?<![\w-])(?:(?:\d{4}[ -]?){3}\d{1,7}|3\d{3}[ -]?\d{6}[ -]?\d{5})(?![\w-])"),
}
RULES = [(word, kind, re.compile(pattern)) for kind, (words, pattern) in HIDDEN.items() for word in words]
LEAST = 8  # characters; a shorter secret may be a word


def redact(value: Any) -> Any:
    """The value with what is hidden replaced by its kind in brackets, in all texts of it, however deep.

    Whatever JSON has no form for, such as an error, becomes the text that a line would have of it.
    """
    if isinstance(value, str):  # asked first, as most are texts
        return redact_text(str(value))
    if isinstance(value, dict):
        return {redact(str(key)): redact(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [redact(inner) for inner in value]
    if value is None or isinstance(value, bool | float | datetime):
        return value
    text = redact_text(str(value))
    return value if isinstance(value, int) and text == str(value) else text


def redact_text(text: str) -> str:
    for secret in list_secrets():
        if secret in text:
            text = text.replace(secret, "[secret]")
    for word, kind, pattern in RULES:
        if word in text:
            text = pattern.sub(f"[{kind}]", text)
    return text


@lru_cache(maxsize=1)
def list_secrets() -> list[str]:
    """Every setting that nobody may read in a log. Asked for with the first line, when the settings are read."""
    return sorted({secret for secret in _find_secrets() if len(secret) >= LEAST}, key=len, reverse=True)


def _find_secrets() -> Iterator[str]:
    yield from (settings.SECRET_KEY, settings.METRICS_TOKEN, settings.STRIPE_API_KEY)
    yield from (*settings.STRIPE_WEBHOOK_SECRETS, *settings.API_TOKENS, *settings.API_REFUND_TOKENS)
    yield from (str(database.get("PASSWORD", "")) for database in settings.DATABASES.values())
    for url in (settings.REDIS_URL, settings.BROKER_URL):
        password = urlsplit(url).password or ""
        yield from (password, unquote(password))
    yield settings.MAILER["OPTIONS"].get("password") or ""
