"""The disputes of payments, and what the provider last said of each."""

from typing import Self

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from payments.amounts import AmountQuerySet


class DisputeQuerySet(AmountQuerySet["Dispute"]):
    """The questions that are asked of disputes in more than one place."""

    def of_reference(self, reference: str) -> Self:
        return self.filter(payment__reference=reference)

    def open(self) -> Self:
        """Not decided yet. The money is gone meanwhile."""
        return self.filter(status=Dispute.Status.OPEN)

    def not_won(self) -> Self:
        """The money is gone, for now or for good."""
        return self.exclude(status=Dispute.Status.WON)


class Dispute(models.Model):
    """Money of a payment that the customer's bank takes back. Written only by what the provider says when asked.

    OPEN: the money is gone until the bank has decided. WON: it is back. LOST: it stays gone.
    """

    class Status(models.TextChoices):
        OPEN = "OPEN", _("Open")
        WON = "WON", _("Won")
        LOST = "LOST", _("Lost")

    payment = models.ForeignKey(
        "payments.Payment", on_delete=models.PROTECT, related_name="disputes", verbose_name=_("payment")
    )
    gateway = models.CharField(_("gateway"), max_length=32)
    provider_id = models.CharField(_("id at the provider"), max_length=255)
    amount = models.PositiveBigIntegerField(_("amount"), help_text=_("In minor units."))
    currency = models.CharField(_("currency"), max_length=3)
    reason = models.CharField(_("reason"), max_length=255, help_text=_("In the provider's words."))
    status = models.CharField(_("status"), max_length=4, choices=Status)
    respond_by = models.DateTimeField(
        _("respond by"), null=True, blank=True, help_text=_("Until then the provider takes evidence.")
    )
    opened_at = models.DateTimeField(_("opened at"), help_text=_("By the provider's clock."))
    closed_at = models.DateTimeField(
        _("closed at"), null=True, blank=True, help_text=_("When the provider first said that it is decided.")
    )
    checked_at = models.DateTimeField(
        _("checked at"), db_default=Now(), help_text=_("When the provider was last asked.")
    )

    objects = DisputeQuerySet.as_manager()

    class Meta:
        verbose_name = _("dispute")
        verbose_name_plural = _("disputes")
        indexes = [models.Index(fields=["respond_by"], condition=Q(status="OPEN"), name="dispute_open")]
        constraints = [
            models.UniqueConstraint(fields=["provider_id", "gateway"], name="dispute_provider_id_once"),
            models.CheckConstraint(condition=Q(amount__gt=0), name="dispute_amount_is_positive"),
            models.CheckConstraint(condition=Q(status__in=["OPEN", "WON", "LOST"]), name="dispute_status_is_known"),
            models.CheckConstraint(
                condition=Q(status="OPEN", closed_at__isnull=True) | ~Q(status="OPEN") & Q(closed_at__isnull=False),
                name="dispute_closed_iff_decided",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.provider_id}: {self.status}"
