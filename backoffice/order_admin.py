"""The admin's pages of orders: the list and its filters, the page of one order, the dashboard, the export."""

import re
from typing import Any, cast

from django.contrib import admin
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.email_addresses import read_email_address
from backoffice.dashboard import read_dashboard
from backoffice.export import export_orders
from backoffice.order_filters import AttentionFilter, PlacedFilter, RefundFilter
from backoffice.order_status import color_status
from backoffice.plans import describe_plans
from backoffice.provider_links import link_to_provider
from backoffice.refund_admin import RefundAdmin
from backoffice.refund_summary import describe_open_refunds, describe_refunds
from backoffice.slips import render_slip
from backoffice.timeline import PAYMENT_STATES, describe_payment, read_timeline
from money import format_money
from orders.models import Order
from orders.querysets import OrderQuerySet
from payments.models import Payment
from payments.refund_models import Refund

# The index finds it anywhere in a text. Others than ASCII are in none, and not every locale has them in an index.
SEARCHABLE = re.compile("[A-Za-z0-9]{3}")


@admin.register(Order)
class OrderAdmin(RefundAdmin):
    list_display = ["code", "email", "state", "money", "payment_status", "created_at", "review"]
    list_filter = [AttentionFilter, "status", RefundFilter, "cancel_reason", PlacedFilter, "created_at"]
    list_select_related = ["payment"]
    sortable_by = ["code", "email", "created_at"]  # these have an index: others take seconds on a million orders
    search_fields = ["code", "email"]  # the box is shown for them; get_search_results does the search
    search_help_text = _("Any part of the code or the email. Fewer than three letters: from its beginning.")
    actions = ["note_orders", "process_orders", "mark_orders_reviewed", "cancel_orders", "export_orders"]
    internals = [
        ("code", "checkout_key"),
        ("created_at", "expires_at", "finalized_at"),
        ("sweep_after", "sweeps", "held_until"),
    ]

    def get_fieldsets(self, request: HttpRequest, obj: Order | None = None) -> Any:
        """Only what says something of this order."""
        state = ("state", "cancel_reason") if obj and obj.cancel_reason else "state"
        shown: list[Any] = [(None, {"fields": [state, ("money", "taken", "given_back"), ("email", "user")]})]
        if obj and obj.metadata:
            shown.append((_("From the client"), {"fields": ["metadata"]}))
        if obj and (obj.needs_review or obj.review_reason):
            shown.append((_("Review"), {"fields": [("review", "review_reason")]}))
        return [*shown, (_("Internals"), {"classes": ["collapse"], "fields": self.internals})]

    @admin.display(description=_("status"))
    def state(self, order: Order) -> str:
        return color_status(order)

    @admin.display(description=_("money taken"))
    def taken(self, order: Order) -> str:
        payment = order.payment
        if payment.status != Payment.Status.SUCCEEDED:
            return str(PAYMENT_STATES[Payment.Status(payment.status)])
        return format_html("{}, {}", format_money(payment.amount, payment.currency), link_to_provider(payment))

    @admin.display(description=_("refunded"))
    def given_back(self, order: Order) -> str:
        return format_money(order.refunded, order.currency) if order.refunded else "-"

    @admin.display(description=_("total"))
    def money(self, order: Order) -> str:
        return format_money(order.total, order.currency)

    @admin.display(description=_("payment"))
    def payment_status(self, order: Order) -> str:
        return order.payment.get_status_display()

    @admin.display(description=_("review"))
    def review(self, order: Order) -> str:
        return gettext("Needs review") if order.needs_review else "-"

    def has_export_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("orders.export_order")

    def get_urls(self) -> list[URLPattern]:
        dashboard, slip = self.admin_site.admin_view(self.show_dashboard), self.admin_site.admin_view(self.show_slip)
        return [
            path("dashboard/", dashboard, name="orders_dashboard"),
            path("<int:pk>/slip/", slip, name="orders_order_slip"),
            *super().get_urls(),
        ]

    def show_slip(self, request: HttpRequest, pk: int) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        return render_slip(request, get_object_or_404(Order, pk=pk))

    def show_dashboard(self, request: HttpRequest) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("Dashboard"),
            "opts": self.opts,
            "dashboard": read_dashboard(),
        }
        return TemplateResponse(request, "admin/orders/dashboard.html", context)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Order], search_term: str
    ) -> tuple[QuerySet[Order], bool]:
        if term := search_term.strip():
            code, email = term.upper(), _read_email(term)
            if SEARCHABLE.search(term):
                queryset = cast(OrderQuerySet, queryset).with_text(code=code, email=email)
            else:
                queryset = queryset.filter(Q(code__startswith=code) | Q(email__startswith=email))
        return queryset, False

    @admin.action(description=_("Export selected orders as CSV"), permissions=["export"])
    def export_orders(self, request: HttpRequest, queryset: QuerySet[Order]) -> StreamingHttpResponse:
        return export_orders(queryset)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        order = context["original"]
        context |= {
            **_describe_life(order),  # first: it reads the payment for all the others
            "order_actions": self.list_actions(request, order),
            "may_refund": self.may_refund(request, order),
            "may_record": order.payment.waits_for_money and request.user.has_perm("payments.add_transfer"),
            "lines": [
                (line, format_money(line.price, order.currency), format_money(line.total, order.currency))
                for line in order.cached_lines
            ],
        }
        return super().render_change_form(request, context, *args, **kwargs)


def _describe_life(order: Order) -> dict[str, Any]:
    """What happened to the order and its money, and what happens next."""
    payments = list(Payment.objects.filter(reference=order.code).order_by("number"))
    order.payment = next(payment for payment in payments if payment.pk == order.payment_id)  # saves a query
    refunds = list(Refund.objects.of_reference(order.code).order_by("pk").prefetch_related("lines__line"))
    events = list(order.events.select_related("actor", "order"))
    return {
        "payments": [
            (payment, format_money(payment.amount, payment.currency), link_to_provider(payment)) for payment in payments
        ],
        "payment_state": describe_payment(order.payment),
        "is_unknown": order.payment.status in Payment.ASKED,
        "refunds": describe_refunds(order, refunds, events),
        "open_refunds": describe_open_refunds(order, refunds),
        "timeline": read_timeline(order, events, payments, refunds),
        "plans": describe_plans(order, refunds),
    }


def _read_email(term: str) -> str:
    try:
        return read_email_address(term)
    except ValidationError:
        return term.lower()  # not an address that orders are placed with today
