"""What staff do to orders: each action asks for a note, does one order after the other and says what became of each."""

import logging
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.db import Error
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.functional import Promise
from django.utils.translation import gettext, gettext_noop, ngettext
from django.utils.translation import gettext_lazy as _
from kombu.exceptions import OperationalError

from accounts.models import User
from backoffice.read_only import ReadOnlyAdmin
from catalog.texts import NormalizedField
from database_errors import describe, is_passing
from money import format_money
from orders.models import Order
from orders.services import NothingToReview, OrderIsFinal, cancel_order, mark_reviewed, resume_order
from orders.tasks import sweep_stuck_orders

logger = logging.getLogger(__name__)

MOST_ORDERS = 500  # in one action: a request has to be answered within seconds
Operation = Callable[..., Order]


class NoteForm(forms.Form):
    note = NormalizedField(
        label=_("Note"),
        max_length=500,
        widget=forms.Textarea(attrs={"rows": 3, "class": "vLargeTextField"}),
        help_text=_("Why you do this. Kept in the order's timeline, with your name; the customer does not see it."),
        error_messages={"required": _("Write a note: it is kept in the order's timeline.")},
    )

    def __init__(self, *args: Any, required: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["note"].required = required


@dataclass(frozen=True, kw_only=True)
class OrderAction:
    """An action by its name, with what it says before it is done, and afterwards of orders that are still pending."""

    name: str
    title: Promise
    text: Promise
    button: Promise
    pending: str  # a msgid
    needs_note: bool = True


CANCEL = OrderAction(
    name="cancel_orders",
    title=_("Cancel"),
    text=_(
        "An order whose payment was never sent is cancelled at once. For any other order the payment provider is "
        "asked first: if the money was taken already, the order is confirmed instead."
    ),
    button=_("Yes, cancel"),
    pending=gettext_noop("To be cancelled, unless the provider says it is paid: %(codes)s."),
)
PROCESS = OrderAction(
    name="process_orders",
    title=_("Process now: ask the provider again"),
    text=_(
        "The payment provider is asked again, with the same key: nothing is taken twice. Then the order is confirmed "
        "or cancelled as the provider says. Its review ends, and its sweeps are counted from zero."
    ),
    button=_("Yes, process now"),
    pending=gettext_noop("Taken up again: %(codes)s."),
    needs_note=False,
)
REVIEWED = OrderAction(
    name="mark_orders_reviewed",
    title=_("Mark reviewed"),
    text=_(
        "Marks the order as looked at; its processing goes on. It needs review again only after as many sweeps as "
        "before. If the sweep had given up, it starts again."
    ),
    button=_("Yes, mark reviewed"),
    pending=gettext_noop("Marked reviewed: %(codes)s."),
)
ENDED = {
    Order.Status.CONFIRMED: gettext_noop("Confirmed: %(codes)s."),
    Order.Status.CANCELLED: gettext_noop("Cancelled: %(codes)s."),
}
ENDED_BEFORE = {
    Order.Status.CONFIRMED: gettext_noop("Not changed, already confirmed: %(codes)s."),
    Order.Status.CANCELLED: gettext_noop("Not changed, already cancelled: %(codes)s."),
}
BUSY = gettext_noop("Not changed, the database is busy: %(codes)s. Try again in a minute.")
FAILED = gettext_noop("Not changed, it failed: %(codes)s. The log says why.")
NEEDS_NO_REVIEW = gettext_noop("Not changed, no review needed: %(codes)s.")


class OrderActionsAdmin(ReadOnlyAdmin):
    """The actions that change orders, for those who may."""

    def has_steer_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("orders.change_order")

    @admin.action(description=_("Cancel selected orders"), permissions=["steer"])
    def cancel_orders(self, request: HttpRequest, queryset: QuerySet[Order]) -> HttpResponse | None:
        return self._steer(request, queryset, CANCEL, partial(cancel_order, reason=Order.CancelReason.STAFF))

    @admin.action(description=_("Process selected orders now: ask the provider again"), permissions=["steer"])
    def process_orders(self, request: HttpRequest, queryset: QuerySet[Order]) -> HttpResponse | None:
        return self._steer(request, queryset, PROCESS, resume_order, then=self._sweep)

    @admin.action(description=_("Mark selected orders reviewed"), permissions=["steer"])
    def mark_orders_reviewed(self, request: HttpRequest, queryset: QuerySet[Order]) -> HttpResponse | None:
        return self._steer(request, queryset, REVIEWED, mark_reviewed)

    def list_actions(self, request: HttpRequest, order: Order) -> list[OrderAction]:
        """What the reader may do to the order as it is."""
        if order.status != Order.Status.PENDING or not self.has_steer_permission(request):
            return []
        return [PROCESS, *([REVIEWED] if order.needs_review else []), CANCEL]

    def _steer(
        self,
        request: HttpRequest,
        queryset: QuerySet[Order],
        action: OrderAction,
        operation: Operation,
        then: Callable[[HttpRequest], None] | None = None,
    ) -> HttpResponse | None:
        orders = list(queryset.select_related("payment").order_by("pk")[: MOST_ORDERS + 1])
        if len(orders) > MOST_ORDERS:
            refusal = gettext("Nothing was done: select %(most)s orders at most.") % {"most": MOST_ORDERS}
            self.message_user(request, refusal, messages.ERROR)
            return None
        form = NoteForm(request.POST if "confirmed" in request.POST else None, required=action.needs_note)
        if not form.is_valid():
            return self._ask(request, orders, action, form)
        done = self._apply(
            request, orders, action, partial(operation, actor=cast(User, request.user), note=form.cleaned_data["note"])
        )
        if then and done:
            then(request)
        return redirect("admin:orders_order_change", orders[0].pk) if len(orders) == 1 else None

    def _ask(self, request: HttpRequest, orders: list[Order], action: OrderAction, form: NoteForm) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": action.title,
            "subtitle": ngettext("%(count)s order", "%(count)s orders", len(orders)) % {"count": len(orders)},
            "original": action.title,  # where the admin's own breadcrumbs end
            "opts": self.opts,
            "media": self.media,
            "has_view_permission": True,
            "action": action,
            "form": form,
            "orders": [(order, format_money(order.total, order.currency)) for order in orders],
        }
        return TemplateResponse(request, "admin/orders/order/confirmation.html", context)

    def _apply(
        self, request: HttpRequest, orders: list[Order], action: OrderAction, operation: Operation
    ) -> list[Order]:
        """Do it to each order on its own, so that one's refusal is not the others'; return those it was done to."""
        done: list[Order] = []
        outcomes = defaultdict(list)
        for order in orders:
            try:
                done.append(operation(code=order.code))
                outcomes[messages.SUCCESS, ENDED.get(Order.Status(done[-1].status), action.pending)].append(order.code)
            except OrderIsFinal as final:
                outcomes[messages.WARNING, ENDED_BEFORE[Order.Status(str(final))]].append(order.code)
            except NothingToReview:
                outcomes[messages.WARNING, NEEDS_NO_REVIEW].append(order.code)
            except Error as error:  # what brings an order into review may be just that
                passing = is_passing(error)
                logger.error("%s of %s failed: %s", action.name, order.code, describe(error), exc_info=not passing)
                outcomes[messages.ERROR, BUSY if passing else FAILED].append(order.code)
        for (level, outcome), codes in outcomes.items():
            self.message_user(request, gettext(outcome) % {"codes": ", ".join(codes)}, level)
        return done

    def _sweep(self, request: HttpRequest) -> None:
        try:
            sweep_stuck_orders.delay()  # not to wait for beat's
        except OperationalError:
            text = gettext("The task queue is down: the next sweep takes them up.")
            self.message_user(request, text, messages.WARNING)
