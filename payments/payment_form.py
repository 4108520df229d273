"""What a gateway tells of its provider's own form for the shop's page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from django.utils.functional import Promise


@dataclass(frozen=True, kw_only=True)
class PaymentForm:
    """A provider's own form in our page: what the customer types there goes to the provider alone, which makes a token.

    The token is charged as the `payment_method` of a ChargeRequest. The template is given the form as `payment_form`,
    the `amount` in minor units and the `currency`, the `field` that takes the token, whose `field.field.nothing_done`
    is to be said of whatever fails before the token is sent, and `kept`: what is not lost if nobody pays now.
    """

    template: str  # where a payment method is chosen; templates/shop/_payment_methods.html says what it is given
    script: str  # the URL of the provider's script
    publishable_key: str  # tells the provider whose shop it is; everybody may know it
    sources: Mapping[str, Sequence[str]]  # by directive: what the page's Content-Security-Policy allows beside our own
    pattern: str  # a regular expression for the tokens, at most 64 characters
    test_cards: Mapping[str, Promise] = field(default_factory=dict)  # shown in the form: numbers, and what each does
