"""The payments for a reference, one after the other, and what is known of each."""

from typing import Self

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from payments.dispute_models import Dispute
from payments.gateway import read_times_to_pay
from payments.refund_models import Refund
from payments.transfers import Transfer, TransferAnswer, TransferRefund
from payments.webhook_models import WebhookEvent

# Django looks for models here.
__all__ = ["Dispute", "Payment", "Refund", "Transfer", "TransferAnswer", "TransferRefund", "WebhookEvent"]


class PaymentQuerySet(models.QuerySet["Payment"]):
    """The questions that are asked of payments in more than one place."""

    def unanswered(self) -> Self:
        return self.filter(status__in=Payment.UNANSWERED)

    def unknown(self) -> Self:
        """The provider was asked, and nobody knows yet what it did."""
        return self.filter(status=Payment.Status.SENT)

    def acting(self) -> Self:
        """The customer has to act at the bank."""
        return self.filter(status=Payment.Status.ACTION_REQUIRED)

    def asked(self) -> Self:
        """The provider was asked, and the money may still be taken."""
        return self.filter(status__in=Payment.ASKED)

    def unsent(self) -> Self:
        """Not asked for yet, and asking helps: where customers pay unasked, their money is announced."""
        unasked = Q(gateway__in=read_times_to_pay())
        announced = Q(status=Payment.Status.SENT, requests=0)
        return self.filter(~unasked & Q(status=Payment.Status.PENDING) | unasked & announced)

    def unclosed(self) -> Self:
        """Declined, and not yet cancelled at the provider."""
        return self.filter(status=Payment.Status.DECLINED, closed_at=None)


class Payment(models.Model):
    """Money asked for. PENDING: never sent. SENT: asked, and unknown until the provider's answer is written down.
    ACTION_REQUIRED: unknown too, as the customer has to act at the bank first.

    A reference may have several, one after the other: the next begins after the last was declined.

    Triggers keep what is asked for, and the answer: payments/migrations/0002_triggers.py.
    """

    class Status(models.TextChoices):
        PENDING = "PENDING", _("Pending")
        SENT = "SENT", _("Sent")
        ACTION_REQUIRED = "ACTION_REQUIRED", _("Customer must act")
        SUCCEEDED = "SUCCEEDED", _("Succeeded")
        DECLINED = "DECLINED", _("Declined")
        CANCELLED = "CANCELLED", _("Cancelled")

    ASKED = (Status.SENT, Status.ACTION_REQUIRED)
    UNANSWERED = (Status.PENDING, *ASKED)

    reference = models.CharField(_("reference"), max_length=32)
    number = models.PositiveSmallIntegerField(
        _("number"), default=1, db_default=1, help_text=_("1 is the first payment of its reference.")
    )
    gateway = models.CharField(
        _("gateway"),
        max_length=32,
        default="stripe",
        db_default="stripe",
        help_text=_("Where it is sent to: a name in the settings."),
    )
    amount = models.PositiveBigIntegerField(_("amount"), help_text=_("In minor units."))
    currency = models.CharField(_("currency"), max_length=3)
    payment_method = models.CharField(_("payment method"), max_length=64)
    status = models.CharField(
        _("status"), max_length=15, choices=Status, default=Status.PENDING, db_default=Status.PENDING
    )
    return_url = models.CharField(
        _("return address"),
        max_length=255,
        blank=True,
        db_default="",
        help_text=_("Where the bank sends the customer back to. Empty: a card that asks for more is declined."),
    )
    requests = models.PositiveIntegerField(
        _("requests"), default=0, db_default=0, help_text=_("How often the provider was asked.")
    )
    provider_id = models.CharField(  # noqa: DJ001 - unique where there is one
        _("id at the provider"), max_length=255, null=True, blank=True
    )
    only_refused = models.BooleanField(
        _("only refused"), db_default=False, help_text=_("The provider did nothing at all: it refused every request.")
    )
    decline_code = models.CharField(_("decline code"), max_length=64, blank=True, db_default="")
    last_error = models.TextField(
        _("last error"), blank=True, db_default="", help_text=_("What went wrong when the provider was last asked.")
    )
    created_at = models.DateTimeField(_("created at"), db_default=Now())
    sent_at = models.DateTimeField(_("sent at"), null=True, blank=True)
    action_required_at = models.DateTimeField(
        _("action required at"), null=True, blank=True, help_text=_("When the customer first had to act at the bank.")
    )
    cancel_requested_at = models.DateTimeField(
        _("cancel requested at"), null=True, blank=True, help_text=_("No charge begins after that.")
    )
    in_flight_until = models.DateTimeField(
        _("in flight until"),
        null=True,
        blank=True,
        help_text=_("Somebody asks the provider: no other does until then."),
    )
    in_flight_by = models.CharField(
        _("in flight by"),
        max_length=100,
        blank=True,
        db_default="",
        help_text=_("The process that asks: host, pid and start."),
    )
    answered_at = models.DateTimeField(
        _("answered at"), null=True, blank=True, help_text=_("When its outcome was written down.")
    )
    closed_at = models.DateTimeField(
        _("closed at"),
        null=True,
        blank=True,
        help_text=_("When the provider cancelled the declined payment for good. The next one is sent after that."),
    )

    NOT_IN_FLIGHT = {"in_flight_until": None, "in_flight_by": ""}

    objects = PaymentQuerySet.as_manager()

    class Meta:
        verbose_name = _("payment")
        verbose_name_plural = _("payments")
        indexes = [
            models.Index(fields=["created_at"], name="payment_created_at"),
            models.Index(
                fields=["sent_at"], condition=Q(status__in=["SENT", "ACTION_REQUIRED"]), name="payment_unknown"
            ),
            models.Index(fields=["reference"], opclasses=["varchar_pattern_ops"], name="payment_reference_like"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["reference", "number"], name="payment_number_once"),
            models.UniqueConstraint(fields=["provider_id", "gateway"], name="payment_provider_id_once"),
            # At most one that is unanswered and at most one that took the money, and never one of each.
            models.UniqueConstraint(
                fields=["reference"],
                condition=Q(status__in=["PENDING", "SENT", "ACTION_REQUIRED", "SUCCEEDED"]),
                name="payment_one_at_a_time",
            ),
            models.CheckConstraint(condition=Q(number__gt=0), name="payment_number_is_positive"),
            models.CheckConstraint(condition=Q(amount__gt=0), name="payment_amount_is_positive"),
            models.CheckConstraint(
                condition=Q(status__in=["PENDING", "SENT", "ACTION_REQUIRED", "SUCCEEDED", "DECLINED", "CANCELLED"]),
                name="payment_status_is_known",
            ),
            models.CheckConstraint(
                condition=Q(status="SUCCEEDED", provider_id__isnull=False)
                | ~Q(status="SUCCEEDED") & Q(provider_id__isnull=True),
                name="payment_succeeded_iff_provider_id",
            ),
            models.CheckConstraint(
                condition=Q(status="DECLINED") & ~Q(decline_code="") | ~Q(status="DECLINED") & Q(decline_code=""),
                name="payment_declined_iff_code",
            ),
            models.CheckConstraint(
                condition=Q(status__in=["PENDING", "CANCELLED"]) | Q(sent_at__isnull=False),
                name="payment_sent_before_its_answer",
            ),
            models.CheckConstraint(
                condition=~Q(status="ACTION_REQUIRED") | Q(action_required_at__isnull=False),
                name="payment_action_required_since",
            ),
        ]

    def __str__(self) -> str:
        name = self.reference if self.number == 1 else f"{self.reference} {self.number}"
        return f"{name}: {self.status}"

    @property
    def is_answered(self) -> bool:
        return self.status not in self.UNANSWERED

    @property
    def waits_for_action(self) -> bool:
        """Whether only the customer's act at the bank is waited for: the provider said so when it was last asked."""
        return self.status == self.Status.ACTION_REQUIRED and self.in_flight_until is None and not self.last_error

    @property
    def waits_for_money(self) -> bool:
        """Whether the customer pays unasked, and has not yet: nobody is to be asked before the money has come."""
        return self.status == self.Status.PENDING and self.gateway in read_times_to_pay()

    @property
    def key(self) -> str:
        """The idempotency key: the same for every try, and nobody else's."""
        return f"charge-{self.reference}" if self.number == 1 else f"charge-{self.reference}-{self.number}"
