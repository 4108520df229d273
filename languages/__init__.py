"""Which of the shop's languages a text is written in."""

from django.conf import settings
from django.utils import translation


def current_language() -> str:
    """The reader's language, or the shop's own where nobody reads, as in a command."""
    return translation.get_language() or settings.LANGUAGE_CODE


def find_language(language: str) -> str:
    """The given language, or the shop's own if the shop does not offer the given one any more."""
    try:
        return translation.get_supported_language_variant(language)
    except LookupError:
        return settings.LANGUAGE_CODE
