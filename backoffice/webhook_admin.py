"""The admin's pages of what the payment provider told us: staff read it, and have it processed again."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from backoffice.replaying import ReplayAdmin, StateFilter
from payments.tasks import sweep_webhook_events
from payments.webhook_models import WebhookEvent
from payments.webhooks import replay_events

STATES: dict[str, Promise] = {"waiting": _("Waiting"), "processed": _("Processed"), "given_up": _("Given up")}


class WebhookStateFilter(StateFilter):
    states = STATES


@admin.register(WebhookEvent)
class WebhookEventAdmin(ReplayAdmin):
    list_display = ["received_at", "type", "reference", "event_id", "state", "tries"]
    list_filter = [WebhookStateFilter, "received_at"]
    sortable_by = ()
    search_fields = ["reference__exact", "event_id__exact"]
    search_help_text = _("The whole reference, or the whole id at the provider.")
    ordering = ["-received_at"]
    fieldsets = [
        (None, {"fields": ["provider", "event_id", "type", "reference", "received_at"]}),
        (_("Processing"), {"fields": ["state", "tries", "process_after", "processed_at"]}),
        (_("As it was received"), {"fields": ["body"]}),
    ]
    permission = "payments.replay_webhookevent"

    def get_queryset(self, request: HttpRequest) -> QuerySet[WebhookEvent]:
        events: QuerySet[WebhookEvent] = super().get_queryset(request)
        return events.defer("body")

    @admin.display(description=_("state"))
    def state(self, event: WebhookEvent) -> Promise:
        if event.processed_at:
            return STATES["processed"]
        return STATES["waiting"] if event.process_after else STATES["given_up"]

    @admin.action(description=_("Process selected events again"), permissions=["replay"])
    def replay(self, request: HttpRequest, queryset: QuerySet[WebhookEvent]) -> None:
        count = replay_events(WebhookEvent.objects.filter(pk__in=queryset.values("pk")))
        text = ngettext("%(count)s event is processed again.", "%(count)s events are processed again.", count)
        self.wake(request, sweep_webhook_events, text % {"count": count})
