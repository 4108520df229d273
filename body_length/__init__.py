"""How long a request says its body is, for those who refuse a long one before anything reads it."""

from django.http import HttpRequest

MOST_DIGITS = 18


class BadBodyLength(ValueError):
    """Its Content-Length is no number of bytes. Whoever stands between may have read another one."""


def read_body_length(request: HttpRequest) -> int:
    """Bytes; 0 where it says nothing. Raises BadBodyLength. https://www.rfc-editor.org/rfc/rfc9110#section-8.6"""
    text = request.META.get("CONTENT_LENGTH") or "0"
    if not (text.isascii() and text.isdecimal() and len(text) <= MOST_DIGITS):  # int() also reads +1, 1_0 and blanks
        raise BadBodyLength
    return int(text)
