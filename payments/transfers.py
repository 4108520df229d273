"""The ledger of bank transfers: what staff saw arrive, what each payment was answered, and what goes back."""

from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Exists, OuterRef, Q, Sum
from django.db.models.functions import Coalesce, Now
from django.utils.translation import gettext_lazy as _

from payments.amounts import AmountQuerySet

MAX_NOTE = 500


class TransferQuerySet(models.QuerySet["Transfer"]):
    def unused(self) -> Self:
        """Those that pay nothing yet, and are not to be sent back."""
        return self.filter(answer=None, refunds=None)

    def with_sums(self) -> Self:
        """Each with what was `sent_back` and what is `to_send_back`, in minor units, and whether it `pays`."""
        sent_back = Coalesce(Sum("refunds__amount", filter=Q(refunds__sent_on__isnull=False)), 0)
        to_send_back = Coalesce(Sum("refunds__amount", filter=Q(refunds__sent_on__isnull=True)), 0)
        pays = Exists(TransferAnswer.objects.filter(transfer=OuterRef("pk")))
        return self.annotate(sent_back=sent_back, to_send_back=to_send_back, pays=pays)


class Transfer(models.Model):
    """Money that arrived in the shop's bank account, as staff read it there. Append-only: a trigger keeps it."""

    provider_id = models.CharField(
        _("the bank's reference"), max_length=255, unique=True, help_text=_("Of this one transfer, in the statement.")
    )
    reference = models.CharField(_("reference"), max_length=32, db_index=True, help_text=_("The order's code."))
    amount = models.PositiveBigIntegerField(_("amount"), help_text=_("In minor units."))
    currency = models.CharField(_("currency"), max_length=3)
    arrived_on = models.DateField(_("arrived on"))
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, verbose_name=_("actor"), related_name="+"
    )
    note = models.CharField(_("note"), max_length=MAX_NOTE, blank=True)
    recorded_at = models.DateTimeField(_("recorded at"), db_default=Now(), db_index=True)

    objects = TransferQuerySet.as_manager()

    class Meta:
        verbose_name = _("transfer")
        verbose_name_plural = _("transfers")
        ordering = ["-recorded_at", "-pk"]
        constraints = [models.CheckConstraint(condition=Q(amount__gt=0), name="transfer_amount_is_positive")]

    def __str__(self) -> str:
        return f"{self.reference}: {self.provider_id}"


class TransferAnswer(models.Model):
    """What was answered under the key of a payment, for good: the transfer that pays it, or none: it is cancelled."""

    key = models.CharField(max_length=64, primary_key=True)
    transfer = models.OneToOneField(Transfer, on_delete=models.PROTECT, null=True, related_name="answer")

    def __str__(self) -> str:
        return self.key


class TransferRefundQuerySet(AmountQuerySet["TransferRefund"]):
    def unsent(self) -> Self:
        return self.filter(sent_on=None)


class TransferRefund(models.Model):
    """Money of a transfer that goes back. Staff send it from the bank, and then record that here."""

    transfer = models.ForeignKey(Transfer, on_delete=models.PROTECT, related_name="refunds", verbose_name=_("transfer"))
    key = models.CharField(_("key"), max_length=255, unique=True)
    amount = models.PositiveBigIntegerField(_("amount"), help_text=_("In minor units."))
    requested_at = models.DateTimeField(_("requested at"), db_default=Now())
    provider_id = models.CharField(_("the bank's reference"), max_length=255, unique=True, null=True, blank=True)
    sent_on = models.DateField(_("sent on"), null=True, blank=True)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        verbose_name=_("actor"),
        related_name="+",
    )

    objects = TransferRefundQuerySet.as_manager()

    class Meta:
        verbose_name = _("refund of a transfer")
        verbose_name_plural = _("refunds of transfers")
        ordering = ["requested_at", "pk"]
        indexes = [models.Index(fields=["requested_at"], condition=Q(sent_on=None), name="transfer_refund_to_send")]
        constraints = [
            models.CheckConstraint(condition=Q(amount__gt=0), name="transfer_refund_amount_is_positive"),
            models.CheckConstraint(
                condition=Q(sent_on__isnull=True, provider_id__isnull=True)
                | Q(sent_on__isnull=False, provider_id__isnull=False),
                name="transfer_refund_sent_iff_provider_id",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.transfer.reference}: {self.key}"
