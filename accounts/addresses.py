"""Email addresses: the one form in which each is stored, compared, counted and mailed to."""

import unicodedata
from typing import Any

import idna
from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import models

MAX_LENGTH = 254  # RFC 5321, 4.5.3.1.3: a path of 256 characters, its angle brackets among them
ASCII_LOWER = r"^[ -@\[-~]+$"  # in PostgreSQL: printable, and no capital
SECOND_SPELLINGS = '"['  # quoted local parts and IP addresses: each can be written in several ways


def read_address(text: str) -> str:
    """The address in its one form: ASCII in lower case, the domain by IDNA 2008 (RFC 5891). Raises ValidationError.

    Blanks around it are left out. Refused is what has no such form: a local part beyond ASCII needs a mail server with
    SMTPUTF8 (RFC 6531). Nothing is turned into a letter that it only looks like.
    """
    local, at, domain = text.strip().rpartition("@")
    if len(text.strip()) > MAX_LENGTH or not local.isascii():  # before lower(), which makes a k of a Kelvin sign
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
    # What is ASCII stays as it is: IDNA would refuse "ab--cd", which exists.
    return ".".join(
        label if label.isascii() and not label.startswith("xn--") else idna.alabel(label).decode() for label in labels
    )


def _refuse() -> ValidationError:
    return ValidationError(validate_email.message, code=validate_email.code)


class AddressField(forms.EmailField):
    """An email address, read into its one form."""

    default_validators = []  # read_address has asked them

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"max_length": MAX_LENGTH, **kwargs})

    def to_python(self, value: Any) -> str:
        text = super().to_python(value) or ""
        return read_address(text) if text else ""


class ModelAddressField(models.EmailField):  # type: ignore[type-arg]  # Django's own is not generic
    """A column of addresses: what a form or a command writes to it is read into its one form."""

    default_validators = []

    def clean(self, value: Any, model_instance: models.Model | None) -> Any:
        text = super().clean(value, model_instance)
        return read_address(text) if text else text

    def formfield(self, **kwargs: Any) -> Any:
        return super().formfield(**{"form_class": AddressField, **kwargs})

    def deconstruct(self) -> Any:
        name, _path, args, kwargs = super().deconstruct()
        return name, "django.db.models.EmailField", args, kwargs  # the same column: no migration knows this class
