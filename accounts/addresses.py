"""Email addresses that a mail can be sent to."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import validate_email


def validate_address(value: str) -> None:
    """Refuse what is no email address, or has no form that every mail server takes. Raises ValidationError.

    That form is ASCII: the domain in IDNA (RFC 5891), and a local part without control characters.
    """
    validate_email(value)
    local, _, domain = value.rpartition("@")
    try:
        sent = f"{local}@{domain.encode('idna').decode('ascii')}"
    except UnicodeError as error:
        raise ValidationError(validate_email.message, code=validate_email.code) from error
    validate_email(sent)  # IDNA can turn one character into others: a full-width comma into a comma
    if not (sent.isascii() and sent.isprintable()):  # Django's pattern ignores case, and so takes a dotless i for an I
        raise ValidationError(validate_email.message, code=validate_email.code)


class AddressField(forms.EmailField):
    """An email address that a mail can be sent to, in lower case."""

    default_validators = [validate_address]

    def to_python(self, value: Any) -> str:
        address = super().to_python(value) or ""
        return address.lower()  # before its length is checked: some letters become two
