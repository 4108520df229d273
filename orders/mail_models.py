"""What an order's customer is told by mail."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Coalesce
from django.utils.translation import gettext_lazy as _

from mail_queue import QueuedMail
from payments.refund_models import Refund


class OrderMail(QueuedMail):
    """A mail that an order owes its customer: written with what it tells of, sent afterwards."""

    class Kind(models.TextChoices):
        INSTRUCTIONS = "instructions", _("How to pay")
        CONFIRMED = "confirmed", _("Confirmed")
        CANCELLED = "cancelled", _("Cancelled")
        REFUNDED = "refunded", _("Refunded")

    order = models.ForeignKey(
        "orders.Order",
        on_delete=models.PROTECT,
        related_name="mails",
        verbose_name=_("order"),
        db_index=False,  # mail_once begins with it
    )
    refund = models.ForeignKey(
        Refund,
        on_delete=models.PROTECT,
        related_name="+",
        null=True,
        blank=True,
        verbose_name=_("refund"),
        db_index=False,  # a refund is never deleted, so nobody looks for its mail
    )
    kind = models.CharField(_("kind"), max_length=12, choices=Kind)

    class Meta:
        verbose_name = _("order mail")
        verbose_name_plural = _("order mails")
        ordering = ["pk"]
        indexes = [models.Index(fields=["send_after"], condition=Q(sent_at__isnull=True), name="mail_to_send")]
        constraints = [
            models.UniqueConstraint("order", "kind", Coalesce("refund", 0), name="mail_once"),
            models.CheckConstraint(
                condition=Q(kind="refunded", refund__isnull=False) | ~Q(kind="refunded") & Q(refund__isnull=True),
                name="mail_refunded_iff_refund",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} of {self.order.code}"

    @property
    def name(self) -> str:
        """What tells it from the order's other mails: confirmed, or refunded-2."""
        return f"{self.kind}-{self.refund.number}" if self.refund else self.kind
