"""What a product's texts may contain, and how they are compared: one rule for files, admin, pages and API."""

import unicodedata
from string import punctuation
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Func, Value
from django.db.models.functions import Lower, Replace
from django.utils.translation import gettext_lazy as _
from psycopg import sql

MAX_SKU = 64
LINE_BREAKS = {"Cc", "Cs", "Zl", "Zp"}  # Unicode's categories; control characters and surrogates are among them
SIGNS = f"{punctuation} \u00a0¡¿«»\u2018\u2019“”„…\u2013—·•★"  # that a name may begin with, and is not sorted by
UNSEEN = LINE_BREAKS | {"Cf", "Zs"}


def normalize(text: str) -> str:
    """Return the text in NFC: an é is one character, however it was typed."""
    return unicodedata.normalize("NFC", text)


def read_sku(text: str) -> str:
    """Read a SKU from a URL or from a client of the API, without the blanks around it. Raises ValidationError."""
    sku = normalize(text.strip())
    if not 0 < len(sku) <= MAX_SKU:
        raise ValidationError(_("A SKU has 1 to %(most)s characters.") % {"most": MAX_SKU})
    validate_sku(sku)
    return sku


def validate_sku(sku: str) -> None:
    """Refuse invisible characters, since nobody could type the SKU again. The only blank in a SKU is the space."""
    if any(unicodedata.category(character) in UNSEEN for character in sku.replace(" ", "")):
        raise ValidationError(_("A SKU has no invisible characters, and no blanks but spaces."))


def validate_name(name: str) -> None:
    """Refuse line breaks and control characters.

    Names are spelled with no-break spaces and with the characters that join letters or emoji, so these are allowed.
    """
    if any(unicodedata.category(character) in LINE_BREAKS for character in name):
        raise ValidationError(_("A name has no line breaks and no control characters."))


def fold(text: Any) -> Replace:
    """Return the expression by which a search compares a text. Both sides are folded by the database.

    Python's lower() gives other letters. And some of PostgreSQL's locales write a sigma at the end of a word in another
    way: here both sigmas are equal.
    """
    return Replace(Lower(text), Value("\u03c2"), Value("\u03c3"))


class Constant(Value):
    """A text that is written into the statement: PostgreSQL finds an index by the same expression, and not by a $1."""

    def as_sql(self, compiler: object, connection: object) -> tuple[str, tuple[()]]:
        return sql.quote(self.value).replace("%", "%%"), ()


def skip_signs(text: Any) -> Func:
    """Return the expression for a text without the signs that it begins with: *Boombox is sorted by its B."""
    return Func(text, Constant(SIGNS), function="LTRIM", output_field=models.TextField())


class NormalizedField(forms.CharField):
    """A field of a form that reads its text into NFC."""

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value)
        return normalize(text) if isinstance(text, str) else text


class NormalizedCharField(models.CharField):  # type: ignore[type-arg]  # Django's own is not generic
    """A column of texts in NFC. It reads what is written to it, and what it is compared with, into NFC."""

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value)
        return normalize(text) if isinstance(text, str) else text

    def formfield(self, **kwargs: Any) -> Any:
        return super().formfield(**{"form_class": NormalizedField, **kwargs})

    def deconstruct(self) -> Any:
        name, _path, args, kwargs = super().deconstruct()
        # Migrations name Django's own class: the column is the same.
        return name, "django.db.models.CharField", args, kwargs
