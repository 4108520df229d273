"""The filters beside the list of orders."""

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from payments.models import Payment


class AttentionFilter(admin.SimpleListFilter):
    """Orders that a person may have to look at: each choice reads a few rows of a partial index."""

    title = _("attention")
    parameter_name = "attention"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("stuck", gettext("Stuck: taken up again within seconds")),
            ("review", gettext("Needs review")),
            ("unknown", gettext("Payment unknown")),
            ("acting", gettext("Customer must act")),
            ("given_up", gettext("Given up by the sweep")),
        ]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        match self.value():
            case "stuck":
                return queryset.stuck()
            case "review":
                return queryset.in_review()
            case "unknown":
                return queryset.pending().filter(payment__in=Payment.objects.unknown())
            case "acting":
                return queryset.pending().filter(payment__in=Payment.objects.acting())
            case "given_up":
                return queryset.given_up()
        return None  # all orders


class RefundFilter(admin.SimpleListFilter):
    """Orders whose money went back, or is going back: each choice reads a partial index."""

    title = _("refunds")
    parameter_name = "refunds"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("open", gettext("Being refunded")),
            ("part", gettext("Refunded in part")),
            ("whole", gettext("Refunded in whole")),
        ]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        match self.value():
            case "open":
                return queryset.being_refunded()
            case "part":
                return queryset.refunded_in_part()
            case "whole":
                return queryset.refunded_in_whole()
        return None  # all orders


class PlacedFilter(admin.ListFilter):
    """Orders that were placed on some days of the shop's, the first and the last included."""

    title = _("placed on")
    template = "admin/orders/order/placed_filter.html"
    names = ("placed_from", "placed_to")

    def __init__(self, request: HttpRequest, params: dict[str, Any], model: Any, model_admin: Any) -> None:
        super().__init__(request, params, model, model_admin)
        for name in self.names:
            if given := params.pop(name, None):
                self.used_parameters[name] = given[-1]

    def has_output(self) -> bool:
        return True

    def expected_parameters(self) -> list[str | None]:
        return list(self.names)

    def choices(self, changelist: Any) -> Iterator[dict[str, Any]]:
        """What its form shows, and what it has to send along."""
        others = {name: values for name, values in changelist.filter_params.items() if name not in self.names}
        kept = [(name, value) for name, values in others.items() for value in values]
        query = [("q", changelist.query)] if changelist.query else []
        yield {"kept": [*query, *kept], **{name: self.used_parameters.get(name, "") for name in self.names}}

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        first, last = (self._read_day(name) for name in self.names)
        if first:
            queryset = queryset.filter(created_at__gte=_begin(first))
        if last:
            queryset = queryset.filter(created_at__lt=_begin(last + timedelta(days=1)))
        return queryset

    def _read_day(self, name: str) -> date | None:
        try:
            day: date | None = forms.DateField(required=False).clean(self.used_parameters.get(name, ""))
        except forms.ValidationError as error:
            raise IncorrectLookupParameters(name) from error
        return day if day and 2000 <= day.year < 9999 else None


def _begin(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time()))
