"""The admin's log of webhook deliveries: staff read what became of each, and have some delivered again."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from backoffice.replaying import ReplayAdmin, StateFilter
from events_out.endpoints import replay_deliveries
from events_out.event_types import TEST, find_type
from events_out.models import Delivery, DeliveryTry
from events_out.tasks import sweep_events

STATES: dict[str, Promise] = {"waiting": _("Waiting"), "delivered": _("Delivered"), "given_up": _("Given up")}


class TryInline(admin.TabularInline):  # type: ignore[type-arg]  # Django's own is not generic
    """Whoever sees the delivery sees its tries."""

    model = DeliveryTry
    verbose_name_plural = _("Tries")
    fields = ["tried_at", "seconds", "answer_status", "error"]
    readonly_fields = ["seconds"]
    ordering = ["-pk"]
    extra = 0

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return True

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.display(description=_("seconds"))
    def seconds(self, tried: DeliveryTry) -> str:
        return f"{(tried.ended_at - tried.tried_at).total_seconds():.2f}" if tried.ended_at else ""


class DeliveryStateFilter(StateFilter):
    states = STATES


@admin.register(Delivery)
class DeliveryAdmin(ReplayAdmin):
    list_display = ["created_at", "endpoint", "type", "code", "state", "tries", "answer_status", "deliver_after"]
    list_filter = [DeliveryStateFilter, "endpoint", "created_at"]
    list_select_related = ["endpoint", "event", "order"]
    sortable_by = ()
    search_fields = ["order__code__exact"]
    search_help_text = _("The whole code of the order.")
    ordering = ["-pk"]
    fieldsets = [
        (None, {"fields": ["endpoint", "type", "code", "state", "created_at"]}),
        (_("Times"), {"fields": ["tries", "tried_at", "deliver_after", "delivered_at"]}),
        (_("Last answer"), {"fields": ["answer_status", "answer", "last_error"]}),
    ]
    inlines = [TryInline]
    permission = "events_out.replay_delivery"

    @admin.display(description=_("event"))
    def type(self, delivery: Delivery) -> str:
        return find_type(delivery.event.kind) if delivery.event else TEST

    @admin.display(description=_("order"))
    def code(self, delivery: Delivery) -> str:
        if delivery.order is None:
            return ""
        page = reverse("admin:orders_order_change", args=[delivery.order_id])
        return format_html('<a href="{}">{}</a>', page, delivery.order.code)

    @admin.display(description=_("state"))
    def state(self, delivery: Delivery) -> Promise:
        if delivery.delivered_at:
            return STATES["delivered"]
        return STATES["waiting"] if delivery.deliver_after else STATES["given_up"]

    @admin.action(description=_("Deliver selected ones again"), permissions=["replay"])
    def replay(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> None:
        count = replay_deliveries(Delivery.objects.filter(pk__in=queryset.values("pk")))
        text = ngettext("%(count)s event is delivered again.", "%(count)s events are delivered again.", count)
        self.wake(request, sweep_events, text % {"count": count})
