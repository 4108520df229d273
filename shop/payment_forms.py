"""How a customer chooses what to pay with: a listed method, or the provider's own form in the page."""

import re
from collections.abc import Iterator
from typing import Any

from django import forms
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.functional import Promise
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from payments.gateway import get_gateway
from payments.payment_form import PaymentForm

FORM = ""  # what the field has before the provider's script puts a token into it


class PaymentMethodField(forms.ChoiceField):
    """A token of a gateway's own form, one of SHOP_PAYMENT_METHODS, or the name of a gateway with a `time_to_pay`.

    The page has one such form: that of the first gateway that brings one. The listed methods are the first gateway's.
    `nothing_done` is a sentence that is true until the form is sent, and after it was refused.
    """

    def __init__(self, *, nothing_done: str | Promise) -> None:
        self.nothing_done = nothing_done
        self.payment_form: PaymentForm | None = None
        self.gateways: dict[str, str] = {}  # by the value of the choice
        choices: list[tuple[str, str | Promise]] = []
        for name, value, title in self._list_ways():
            self.gateways[value] = name
            choices.append((value, title))
        choose = format_lazy("{} {}", nothing_done, _("Choose how to pay."))
        no_card = format_lazy("{} {}", nothing_done, _("The details of your card are missing: enter them."))
        super().__init__(
            label=_("Pay with"),
            choices=choices,
            widget=forms.RadioSelect,
            initial=next((value for value, _title in choices), None),
            error_messages={"invalid_choice": choose, "required": no_card if self.payment_form else choose},
        )

    def _list_ways(self) -> Iterator[tuple[str, str, str | Promise]]:
        """Yield the gateway's name, the value and the title of each choice."""
        for name in settings.CHECKOUT_GATEWAYS:
            gateway = get_gateway(name)
            form = gateway.payment_form()
            if form and not self.payment_form:
                self.payment_form = form
                yield name, FORM, gateway.title
            if name == settings.PAYMENT_GATEWAY:
                yield from ((name, value, title) for value, title in settings.SHOP_PAYMENT_METHODS)
            if gateway.time_to_pay:
                yield name, name, gateway.title

    def find_gateway(self, value: str) -> str:
        """The name of the gateway that a valid value belongs to. A token is of the form's."""
        return self.gateways.get(value) or self.gateways[FORM]

    def valid_value(self, value: Any) -> bool:
        is_token = self.payment_form is not None and re.fullmatch(self.payment_form.pattern, value)
        return bool(is_token) or super().valid_value(value)

    def bound_data(self, data: Any, initial: Any) -> Any:
        """A token is not shown again: the card has to be typed in anew, since its frame is."""
        return data if data in self.gateways else FORM


class PayingForm(forms.Form):
    """Asks for a payment method. What it cleans has the `gateway` too."""

    nothing_done: str | Promise

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.method = PaymentMethodField(nothing_done=self.nothing_done)
        self.payment_form = self.method.payment_form
        self.fields["payment_method"] = self.method

    def clean_payment_method(self) -> str:
        value: str = self.cleaned_data["payment_method"]
        self.cleaned_data["gateway"] = self.method.find_gateway(value)
        return value


def render_with_payment_form(
    request: HttpRequest, template: str, context: dict[str, Any], *, form: PaymentForm | None, status: int = 200
) -> HttpResponse:
    """Render a page that has the provider's form in it. Its policy alone allows the sources of that form."""
    response = render(request, template, context | {"payment_form": form}, status=status)
    if form:
        response.content_sources = form.sources  # type: ignore[attr-defined] # for config.security
    return response
