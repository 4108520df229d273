"""Email addresses: the one form in which each is stored, compared, counted and mailed to."""

import unicodedata
from typing import Any

import idna
from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import models

MAX_LENGTH = 254  # RFC 5321, 4.5.3.1.3: a path has at most 256 characters, with its two angle brackets
ASCII_LOWER = r"^[ -@\[-~]+$"  # in PostgreSQL: printable, and no capital
SECOND_SPELLINGS = '"['  # quoted local parts and IP addresses: each can be written in several ways


def read_email_address(text: str) -> str:
    """Return the address in its one form: ASCII in lower case, the domain by IDNA 2008 (RFC 5891).

    Blanks around the address are removed. No character is replaced by one that only looks like it.
    Raises ValidationError for an address without such a form: a local part that is not ASCII, for example, needs a mail
    server with SMTPUTF8 (RFC 6531).
    """
    local, at, domain = text.strip().rpartition("@")
    if len(text.strip()) > MAX_LENGTH or not local.isascii():  # before lower(), which turns a Kelvin sign into a k
        raise _refuse()
    try:
        address = local.lower() + at + _encode_domain(domain)
    except UnicodeError as error:
        raise _refuse() from error
    validate_email(address)
    if len(address) > MAX_LENGTH or set(SECOND_SPELLINGS) & set(address):
        raise _refuse()
    return address


def _encode_domain(domain: str) -> str:
    labels = unicodedata.normalize("NFC", domain.lower()).split(".")
    # An ASCII label stays as it is: IDNA would refuse "ab--cd", and such domains exist.
    return ".".join(
        label if label.isascii() and not label.startswith("xn--") else idna.alabel(label).decode() for label in labels
    )


def _refuse() -> ValidationError:
    return ValidationError(validate_email.message, code=validate_email.code)


class EmailAddressField(forms.EmailField):
    """A field of a form that reads an email address into its one form."""

    default_validators = []  # read_email_address calls them

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"max_length": MAX_LENGTH, **kwargs})

    def to_python(self, value: Any) -> str:
        text = super().to_python(value) or ""
        return read_email_address(text) if text else ""


class EmailAddressModelField(models.EmailField):  # type: ignore[type-arg]  # Django's own is not generic
    """A column of email addresses. Forms and commands write each address in its one form."""

    default_validators = []

    def clean(self, value: Any, model_instance: models.Model | None) -> Any:
        text = super().clean(value, model_instance)
        return read_email_address(text) if text else text

    def formfield(self, **kwargs: Any) -> Any:
        return super().formfield(**{"form_class": EmailAddressField, **kwargs})

    def deconstruct(self) -> Any:
        name, _path, args, kwargs = super().deconstruct()
        # Migrations name Django's own class: the column is the same.
        return name, "django.db.models.EmailField", args, kwargs
