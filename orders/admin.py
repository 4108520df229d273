"""What staff see of orders and of the audit, and what they can ask for: to cancel, process now or export orders."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.timesince import timesince
from kombu.exceptions import OperationalError

from accounts.models import User
from catalog.admin import ReadOnlyAdmin
from money import format_money
from orders.dashboard import read_dashboard
from orders.export import export_orders
from orders.models import AuditRun, Order
from orders.services import OrderIsFinal, cancel_order, resume_order
from orders.tasks import process_order
from orders.timeline import describe_payment, describe_plans, read_timeline
from payments.models import Payment

MOST_ORDERS = 500  # in one action: a request has to be answered within seconds


class AttentionFilter(admin.SimpleListFilter):
    """Orders that a person may have to look at. Each choice is a few rows of a partial index."""

    title = "attention"
    parameter_name = "attention"
    CHOICES = {
        "stuck": ("Stuck: due for a sweep", Q(sweep_after__lte=Now())),
        "review": ("Needs review", Q(needs_review=True)),
        "unknown": ("Payment unknown", Q(payment__status=Payment.Status.SENT)),
        "given_up": ("Given up by the sweep", Q(sweep_after=None)),
    }

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, title) for name, (title, _) in self.CHOICES.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Order]) -> QuerySet[Order]:
        if self.value() not in self.CHOICES:
            return queryset
        _, condition = self.CHOICES[str(self.value())]
        return queryset.filter(condition, status=Order.Status.PENDING)


@admin.register(Order)
class OrderAdmin(ReadOnlyAdmin):
    list_display = ["code", "email", "status", "money", "payment_status", "created_at", "review"]
    list_filter = [AttentionFilter, "status", "cancel_reason", "created_at"]
    list_select_related = ["payment"]
    sortable_by = ["code", "email", "created_at"]  # what has an index: the others take seconds on a million orders
    search_fields = ["code", "email"]  # how: get_search_results
    search_help_text = "The code, from its beginning, or the whole email."
    actions = ["cancel_orders", "process_orders", "export_orders"]
    fieldsets = [
        (None, {"fields": [("code", "status", "cancel_reason"), ("money", "email", "user"), "checkout_key"]}),
        ("Review", {"fields": [("review", "review_reason")]}),
        ("Times", {"fields": [("created_at", "expires_at", "finalized_at"), ("sweep_after", "attempts")]}),
    ]

    class Media:
        css = {"all": ["orders/admin.css"]}

    @admin.display(description="total")
    def money(self, order: Order) -> str:
        return format_money(order.total, order.currency)

    @admin.display(description="payment")
    def payment_status(self, order: Order) -> str:
        return order.payment.get_status_display()

    def review(self, order: Order) -> str:
        return "Needs review" if order.needs_review else "-"

    def has_steer_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("orders.change_order")

    def has_export_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("orders.export_order")

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.show_dashboard)
        return [path("dashboard/", view, name="orders_dashboard"), *super().get_urls()]

    def show_dashboard(self, request: HttpRequest) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        context = {
            **self.admin_site.each_context(request),
            "title": "Dashboard",
            "opts": self.opts,
            "dashboard": read_dashboard(),
        }
        return TemplateResponse(request, "admin/orders/dashboard.html", context)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Order], search_term: str
    ) -> tuple[QuerySet[Order], bool]:
        # Both conditions have an index; the admin's own icontains would read a million rows.
        if term := search_term.strip():
            queryset = queryset.filter(Q(code__startswith=term.upper()) | Q(email__in={term, term.lower()}))
        return queryset, False

    @admin.action(description="Cancel selected orders", permissions=["steer"])
    def cancel_orders(self, request: HttpRequest, queryset: QuerySet[Order]) -> HttpResponse | None:
        orders = self._read_selected(request, queryset)
        if orders and "confirmed" not in request.POST:
            context = {
                **self.admin_site.each_context(request),
                "title": "Cancel this order?" if len(orders) == 1 else f"Cancel these {len(orders)} orders?",
                "opts": self.opts,
                "orders": [(order, self.money(order)) for order in orders],
            }
            return TemplateResponse(request, "admin/orders/order/cancel_confirmation.html", context)
        cancel = partial(cancel_order, reason=Order.CancelReason.STAFF, actor=cast(User, request.user))
        return self._apply(request, orders, cancel, pending="To be cancelled, unless the provider says it is paid")

    @admin.action(description="Process selected orders now", permissions=["steer"])
    def process_orders(self, request: HttpRequest, queryset: QuerySet[Order]) -> HttpResponse | None:
        orders = self._read_selected(request, queryset)
        resume = partial(resume_order, actor=cast(User, request.user))
        answer = self._apply(request, orders, resume, pending="Taken up again")
        try:
            for order in Order.objects.filter(pk__in=[order.pk for order in orders], status=Order.Status.PENDING):
                process_order(order.code, expired=order.expires_at <= timezone.now())
        except OperationalError:  # the first one has waited for the broker, so the others don't
            self.message_user(request, "The task queue is down: the next sweep takes them up.", messages.WARNING)
        return answer

    @admin.action(description="Export selected orders as CSV", permissions=["export"])
    def export_orders(self, request: HttpRequest, queryset: QuerySet[Order]) -> StreamingHttpResponse:
        return export_orders(queryset)

    def _read_selected(self, request: HttpRequest, queryset: QuerySet[Order]) -> list[Order]:
        orders = list(queryset.order_by("pk")[: MOST_ORDERS + 1])
        if len(orders) > MOST_ORDERS:
            self.message_user(request, f"Nothing was done: select {MOST_ORDERS} orders at most.", messages.ERROR)
            return []
        return orders

    def _apply(
        self, request: HttpRequest, orders: Sequence[Order], operation: Callable[..., Order], *, pending: str
    ) -> HttpResponse | None:
        """Do it to each order on its own, so that one's refusal is not the others', and say what became of which."""
        outcomes = defaultdict(list)
        for order in orders:
            try:
                status = operation(code=order.code).status
                outcomes[messages.SUCCESS, pending if status == Order.Status.PENDING else status.capitalize()].append(
                    order.code
                )
            except OrderIsFinal as final:
                outcomes[messages.WARNING, f"Left as it was, {str(final).lower()} before"].append(order.code)
        for (level, outcome), codes in outcomes.items():
            self.message_user(request, f"{outcome}: {', '.join(codes)}.", level)
        return redirect("admin:orders_order_change", orders[0].pk) if len(orders) == 1 else None

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        order = context["original"]
        context["can_steer"] = order.status == Order.Status.PENDING and self.has_steer_permission(request)
        context["payment_amount"] = format_money(order.payment.amount, order.payment.currency)
        context["lines"] = [
            (line, format_money(line.price, order.currency), format_money(line.total, order.currency))
            for line in order.lines.all()
        ]
        context["payment_stands"] = describe_payment(order.payment)
        context["timeline"] = read_timeline(order)
        context["plans"] = describe_plans(order)
        return super().render_change_form(request, context, *args, **kwargs)


@admin.register(AuditRun)
class AuditRunAdmin(ReadOnlyAdmin):
    list_display = ["created_at", "ok", "age"]
    list_filter = ["ok"]
    fields = ["created_at", "ok", "report"]
    sortable_by = ()

    def age(self, run: AuditRun) -> str:
        return timesince(run.created_at)
