"""How the admin runs an action: it asks first, acts on each selected order, and says what became of them."""

from collections import defaultdict
from collections.abc import Mapping
from typing import cast

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext, ngettext

from accounts.models import User
from backoffice.note_forms import NoteForm
from backoffice.order_actions import ADD_NOTE, CANCEL, MARK_REVIEWED, ORDER_ACTIONS, PROCESS_NOW, OrderAction, Outcome
from backoffice.order_status import color_status
from backoffice.read_only import ReadOnlyAdmin
from money import format_money
from orders.models import Order

MAX_ORDERS = 500  # in one action: a request has to be answered within seconds


class OrderActionAdmin(ReadOnlyAdmin):
    """An order has no field to edit. Staff who may change orders act on them instead."""

    def has_act_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("orders.change_order")

    @admin.action(description=CANCEL.choice, permissions=["act"])
    def cancel_orders(self, request: HttpRequest, queryset: QuerySet[Order]) -> HttpResponse | None:
        return self._ask_and_act(request, queryset, CANCEL)

    @admin.action(description=PROCESS_NOW.choice, permissions=["act"])
    def process_orders(self, request: HttpRequest, queryset: QuerySet[Order]) -> HttpResponse | None:
        return self._ask_and_act(request, queryset, PROCESS_NOW)

    @admin.action(description=MARK_REVIEWED.choice, permissions=["act"])
    def mark_orders_reviewed(self, request: HttpRequest, queryset: QuerySet[Order]) -> HttpResponse | None:
        return self._ask_and_act(request, queryset, MARK_REVIEWED)

    @admin.action(description=ADD_NOTE.choice, permissions=["act"])
    def note_orders(self, request: HttpRequest, queryset: QuerySet[Order]) -> HttpResponse | None:
        return self._ask_and_act(request, queryset, ADD_NOTE)

    def list_actions(self, request: HttpRequest, order: Order) -> list[OrderAction]:
        """The actions whose buttons the page of the order has for this reader."""
        if not self.has_act_permission(request):
            return []
        return [action for action in ORDER_ACTIONS if action.foresee_refusal(order) is None]

    def _ask_and_act(self, request: HttpRequest, queryset: QuerySet[Order], action: OrderAction) -> HttpResponse | None:
        orders = list(queryset.select_related("payment").order_by("pk")[: MAX_ORDERS + 1])
        if len(orders) > MAX_ORDERS:
            refusal = gettext("Nothing was done: select %(max)s orders at most.") % {"max": MAX_ORDERS}
            self.message_user(request, refusal, messages.ERROR)
            return None
        form = NoteForm(request.POST if "confirmed" in request.POST else None, required=action.needs_note)
        if not form.is_valid():
            left = self._refuse(request, orders, action)
            return self._ask(request, left, action, form) if left else None
        self._act(request, orders, action, note=form.cleaned_data["note"])
        return redirect("admin:orders_order_change", orders[0].pk) if len(orders) == 1 else None

    def _refuse(self, request: HttpRequest, orders: list[Order], action: OrderAction) -> list[Order]:
        """Say of which orders it would change nothing, before anybody types a note. Return the others."""
        refusals = {order: action.foresee_refusal(order) for order in orders}
        self._tell(request, {order.code: refusal for order, refusal in refusals.items() if refusal})
        return [order for order, refusal in refusals.items() if refusal is None]

    def _ask(self, request: HttpRequest, orders: list[Order], action: OrderAction, form: NoteForm) -> HttpResponse:
        context = {
            "subtitle": ngettext("%(count)s order", "%(count)s orders", len(orders)) % {"count": len(orders)},
            "has_view_permission": True,
            "action": action,
            "form": form,
            "orders": [(order, format_money(order.total, order.currency), color_status(order)) for order in orders],
        }
        return self.render_page(request, "admin/orders/order/confirmation.html", title=action.title, **context)

    def _act(self, request: HttpRequest, orders: list[Order], action: OrderAction, *, note: str) -> None:
        actor = cast(User, request.user)
        outcomes = {order.code: action.act_on(order, actor=actor, note=note) for order in orders}
        self._tell(request, outcomes)
        changed = any(outcome.level == messages.SUCCESS for outcome in outcomes.values())
        if changed and (warning := action.finish()):
            self.message_user(request, warning, messages.WARNING)

    def _tell(self, request: HttpRequest, outcomes: Mapping[str, Outcome]) -> None:
        """Say what became of the orders, those of the same outcome in one message."""
        codes: defaultdict[Outcome, list[str]] = defaultdict(list)
        for code, outcome in outcomes.items():
            codes[outcome].append(code)
        for outcome, alike in codes.items():
            self.message_user(request, gettext(outcome.text) % {"codes": ", ".join(alike)}, outcome.level)
