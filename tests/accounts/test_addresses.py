import pytest
from django.core.exceptions import ValidationError

from accounts.addresses import AddressField, validate_address

UNSENDABLE = [
    "a@" + "ü" * 60 + ".com",  # too long in IDNA
    "a@x\u3002\u3002y.com",  # an empty label in IDNA
    "a@xn--ü.com",  # neither IDNA nor a name to encode
    "\u0131@example.com",  # a dotless i
    '"a\x01b"@example.com',
    "a@x\uff0cy.com",  # a comma in IDNA
    "a@x\uff1ey.com",  # the end of the address in IDNA
]


@pytest.mark.parametrize("address", ["ann@example.com", "a+b@mail.example.com", "ann@münchen.de", "ann@localhost"])
def test_an_address_that_a_mail_can_be_sent_to_is_taken(address: str) -> None:
    assert AddressField(max_length=254).clean(address) == address


@pytest.mark.parametrize("address", ["", "ann", "ann@", "ann@example.com\n", *UNSENDABLE])
def test_an_address_that_no_mail_can_be_sent_to_is_refused(address: str) -> None:
    with pytest.raises(ValidationError, match="Enter a valid email address"):
        validate_address(address)


def test_an_address_is_measured_in_lower_case() -> None:
    address = "a@" + ("İ" * 25 + ".") * 9 + "com"  # each of these letters becomes two
    assert len(address) < 254 < len(address.lower())

    with pytest.raises(ValidationError, match="at most 254 characters"):
        AddressField(max_length=254).clean(address)
