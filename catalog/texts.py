"""What the texts of a product may contain, and how they are compared: the same for file, admin, page and API."""

import unicodedata
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Value
from django.db.models.functions import Lower, Replace
from django.utils.translation import gettext_lazy as _

MAX_SKU = 64
LINE_BREAKS = {"Cc", "Cs", "Zl", "Zp"}  # Unicode's categories: control characters and half letters, too
UNSEEN = LINE_BREAKS | {"Cf", "Zs"}


def normalize(text: str) -> str:
    """The text in NFC: an é is one character, however it was typed."""
    return unicodedata.normalize("NFC", text)


def read_sku(text: str) -> str:
    """The SKU that is typed, in a URL or by a client of the API, without blanks around it. Raises ValidationError."""
    sku = normalize(text.strip())
    if not 0 < len(sku) <= MAX_SKU:
        raise ValidationError(_("A SKU has 1 to %(most)s characters.") % {"most": MAX_SKU})
    validate_sku(sku)
    return sku


def validate_sku(sku: str) -> None:
    """Refuse what can't be seen, and so not be typed again: of the blanks a SKU has the space only."""
    if any(unicodedata.category(character) in UNSEEN for character in sku.replace(" ", "")):
        raise ValidationError(_("A SKU has no invisible characters, and no blanks but spaces."))


def validate_name(name: str) -> None:
    """Refuse more than one line. No-break spaces, and what joins letters and emoji, belong to the spelling of names."""
    if any(unicodedata.category(character) in LINE_BREAKS for character in name):
        raise ValidationError(_("A name has no line breaks and no control characters."))


def fold(text: Any) -> Replace:
    """The text as a search compares it; of both sides by the database, as Python's lower() gives other letters.

    A sigma at the end of a word is one as elsewhere, as some of PostgreSQL's locales tell them apart and some don't.
    """
    return Replace(Lower(text), Value("\u03c2"), Value("\u03c3"))


class NormalizedField(forms.CharField):
    """A text, read into NFC."""

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value)
        return normalize(text) if isinstance(text, str) else text


class NormalizedCharField(models.CharField):  # type: ignore[type-arg]  # Django's own is not generic
    """A column of texts in NFC: what is written to it and what it is compared with."""

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value)
        return normalize(text) if isinstance(text, str) else text

    def formfield(self, **kwargs: Any) -> Any:
        return super().formfield(**{"form_class": NormalizedField, **kwargs})

    def deconstruct(self) -> Any:
        name, _path, args, kwargs = super().deconstruct()
        return name, "django.db.models.CharField", args, kwargs  # the same column: no migration knows this class
