"""The admin's pages of payments. Staff change nothing here: only the provider's answer changes a payment."""

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from backoffice.order_links import link_to_order
from backoffice.provider_links import link_to_provider
from backoffice.read_only import ReadOnlyAdmin
from money import format_money
from payments.models import Payment

ANSWER = [
    "sent_at",
    "return_url",
    "action_required_at",
    "cancel_requested_at",
    "in_flight_until",
    "in_flight_by",
    "answered_at",
    "closed_at",
    "only_refused",
    "at_provider",
    "decline_code",
    "last_error",
]


@admin.register(Payment)
class PaymentAdmin(ReadOnlyAdmin):
    list_display = ["reference", "number", "money", "status", "requests", "at_provider", "sent_at", "last_error"]
    list_filter = ["status", "created_at"]
    sortable_by = ["reference", "at_provider"]  # these have an index
    search_fields = ["reference__startswith", "provider_id__exact"]
    search_help_text = _("The reference, from its beginning, or the whole id at the provider.")
    ordering = ["-created_at"]
    fieldsets = [
        (None, {"fields": [("order_link", "number"), "money", "status", "created_at"]}),
        (_("Provider"), {"fields": ["gateway", "payment_method", "requests", *ANSWER]}),
    ]

    @admin.display(description=_("order"))
    def order_link(self, payment: Payment) -> str:
        return link_to_order(payment.reference)

    @admin.display(description=_("amount"))
    def money(self, payment: Payment) -> str:
        return format_money(payment.amount, payment.currency)

    @admin.display(description=_("id at the provider"), ordering="provider_id")
    def at_provider(self, payment: Payment) -> str:
        return link_to_provider(payment)
