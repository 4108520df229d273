"""What staff see of payments: everything, and nothing to change. Only the provider's answer changes a payment."""

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from money import format_money
from payments.models import Payment

ANSWER = [
    "sent_at",
    "cancel_requested_at",
    "in_flight_until",
    "in_flight_by",
    "answered_at",
    "only_refused",
    "provider_id",
    "decline_code",
    "last_error",
]


@admin.register(Payment)
class PaymentAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # Django's own is not generic
    list_display = ["reference", "money", "status", "attempts", "provider_id", "sent_at", "last_error"]
    list_filter = ["status", "created_at"]
    sortable_by = ["reference", "provider_id"]  # what has an index
    search_fields = ["reference__startswith", "provider_id__exact"]
    search_help_text = _("The reference, from its beginning, or the whole id at the provider.")
    ordering = ["-created_at"]
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    fieldsets = [
        (None, {"fields": ["reference", "money", "status", "created_at"]}),
        (_("Provider"), {"fields": ["payment_method", "attempts", *ANSWER]}),
    ]

    class Media:
        css = {"all": ["payments/admin.css"]}

    @admin.display(description=_("amount"))
    def money(self, payment: Payment) -> str:
        return format_money(payment.amount, payment.currency)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Payment | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Payment | None = None) -> bool:
        return False
