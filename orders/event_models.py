"""The events of an order's life."""

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

EVENT_KINDS = [
    "placed",
    "swept",
    "held",
    "paying_again",
    "transfer",
    "cancel_requested",
    "review_needed",
    "resumed",
    "reviewed",
    "confirmed",
    "cancelled",
    "refund_requested",
    "refunded",
    "refund_failed",
    "dispute_opened",
    "dispute_closed",
    "reconciled",
    "noted",
]


class OrderEvent(models.Model):
    """Something that happened to an order. Append-only: a trigger refuses updates and deletes."""

    class Kind(models.TextChoices):
        PLACED = "placed", _("Placed")
        SWEPT = "swept", _("Swept")
        HELD = "held", _("Held after a decline")
        PAYING_AGAIN = "paying_again", _("Another payment")
        TRANSFER = "transfer", _("Transfer recorded")
        CANCEL_REQUESTED = "cancel_requested", _("Cancel requested")
        REVIEW_NEEDED = "review_needed", _("Needs review")
        RESUMED = "resumed", _("Taken up again")
        REVIEWED = "reviewed", _("Reviewed")
        CONFIRMED = "confirmed", _("Confirmed")
        CANCELLED = "cancelled", _("Cancelled")
        REFUND_REQUESTED = "refund_requested", _("Refund requested")
        REFUNDED = "refunded", _("Refunded")
        REFUND_FAILED = "refund_failed", _("Refund failed")
        DISPUTE_OPENED = "dispute_opened", _("Dispute opened")
        DISPUTE_CLOSED = "dispute_closed", _("Dispute closed")
        RECONCILED = "reconciled", _("Reconciled with the provider")
        NOTED = "noted", _("Note")

    order = models.ForeignKey("orders.Order", on_delete=models.PROTECT, related_name="events", verbose_name=_("order"))
    kind = models.CharField(_("kind"), max_length=16, choices=Kind)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        verbose_name=_("actor"),
        db_index=False,  # event_of_actor: most events have none
    )
    data = models.JSONField(_("data"), default=dict, encoder=DjangoJSONEncoder)
    created_at = models.DateTimeField(_("created at"), db_default=Now())

    class Meta:
        verbose_name = _("order event")
        verbose_name_plural = _("order events")
        ordering = ["pk"]
        indexes = [
            models.Index(fields=["created_at"], condition=Q(kind="swept"), name="event_swept_at"),
            models.Index(fields=["actor"], condition=Q(actor__isnull=False), name="event_of_actor"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["order"], condition=Q(kind__in=["confirmed", "cancelled"]), name="event_order_ends_once"
            ),
            models.UniqueConstraint(fields=["order"], condition=Q(kind="placed"), name="event_order_begins_once"),
            models.CheckConstraint(condition=Q(kind__in=EVENT_KINDS), name="event_kind_is_known"),
        ]

    def __str__(self) -> str:
        return f"{self.order_id}: {self.kind}"
