"""Which of the shop's languages a text is written in, and how it names a time."""

from datetime import datetime

from django.conf import settings
from django.utils import translation
from django.utils.formats import date_format
from django.utils.timezone import localtime


def current_language() -> str:
    """The reader's language, or the shop's own where nobody reads, as in a command."""
    return translation.get_language() or settings.LANGUAGE_CODE


def find_language(language: str) -> str:
    """The given language, or the shop's own if the shop does not offer the given one any more."""
    try:
        return translation.get_supported_language_variant(language)
    except LookupError:
        return settings.LANGUAGE_CODE


def write_time(moment: datetime, form: str = "SHORT_DATETIME_FORMAT") -> str:
    """The time in the shop's zone, which is named: Nov. 29, 2026, 2:05 p.m. UTC. `form` is one of Django's formats."""
    local = localtime(moment)
    return f"{date_format(local, form)} {local.tzname()}"
