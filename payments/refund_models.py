"""The refunds of a payment, one after the other, and what is known of each."""

from datetime import datetime
from typing import Self

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from payments.amounts import AmountQuerySet

MAX_NUMBER = 32_767  # of a payment's refunds: what the column holds


class RefundQuerySet(AmountQuerySet["Refund"]):
    """The questions that are asked of refunds in more than one place."""

    def of_reference(self, reference: str) -> Self:
        return self.filter(payment__reference=reference)

    def open(self) -> Self:
        """Asked for, and nobody knows yet what the provider did."""
        # Each of them is still to be swept: said here, because that is what has an index.
        return self.filter(status=Refund.Status.REQUESTED, sweep_after__isnull=False)

    def succeeded(self) -> Self:
        """Given back."""
        return self.filter(status=Refund.Status.SUCCEEDED)

    def not_failed(self) -> Self:
        """Given back, or perhaps."""
        return self.exclude(status=Refund.Status.FAILED)

    def in_doubt(self, event_at: datetime | Now) -> Self:
        """Those of which an event from that time may be news: without an answer, or not asked after since."""
        unchecked = Q(status=Refund.Status.SUCCEEDED) & (Q(checked_at=None) | Q(checked_at__lt=event_at))
        return self.filter(Q(status=Refund.Status.REQUESTED) | unchecked)

    def due(self) -> Self:
        """Due for a sweep."""
        return self.filter(sweep_after__lte=Now())


class Refund(models.Model):
    """Money to give back. REQUESTED: owed, and unknown until the provider's answer is written down.

    FAILED is a definite no: nothing was given back under this key. A new try is a new refund with a key of its own.
    A refund that SUCCEEDED may still fail later: its money comes back from the customer's bank.

    Triggers keep what is asked for, the answer, and the sum: payments/migrations/0005_refunds.py.
    """

    class Status(models.TextChoices):
        REQUESTED = "REQUESTED", _("Requested")
        SUCCEEDED = "SUCCEEDED", _("Succeeded")
        FAILED = "FAILED", _("Failed")

    payment = models.ForeignKey(
        "payments.Payment",
        on_delete=models.PROTECT,
        related_name="refunds",
        verbose_name=_("payment"),
        db_index=False,  # refund_number_once begins with it
    )
    number = models.PositiveSmallIntegerField(_("number"), help_text=_("1 is the first refund of its payment."))
    key = models.CharField(
        _("key"), max_length=64, unique=True, help_text=_("The idempotency key of all its requests.")
    )
    gateway = models.CharField(_("gateway"), max_length=32)
    amount = models.PositiveBigIntegerField(_("amount"), help_text=_("In minor units."))
    status = models.CharField(
        _("status"), max_length=9, choices=Status, default=Status.REQUESTED, db_default=Status.REQUESTED
    )
    provider_id = models.CharField(  # noqa: DJ001 - unique where there is one
        _("id at the provider"), max_length=255, null=True, blank=True
    )
    adopted = models.BooleanField(
        _("adopted"), default=False, db_default=False, help_text=_("It began at the provider, and not here.")
    )
    failure_code = models.CharField(_("failure code"), max_length=64, blank=True, default="", db_default="")
    requests = models.PositiveIntegerField(
        _("requests"), default=0, db_default=0, help_text=_("How often the provider was asked.")
    )
    last_error = models.TextField(
        _("last error"),
        blank=True,
        default="",
        db_default="",
        help_text=_("What went wrong when the provider was last asked."),
    )
    created_at = models.DateTimeField(_("created at"), db_default=Now())
    sent_at = models.DateTimeField(_("sent at"), null=True, blank=True)
    in_flight_until = models.DateTimeField(
        _("in flight until"),
        null=True,
        blank=True,
        help_text=_("Somebody asks the provider: no other does until then."),
    )
    answered_at = models.DateTimeField(
        _("answered at"), null=True, blank=True, help_text=_("When its outcome was written down.")
    )
    checked_at = models.DateTimeField(
        _("checked at"), null=True, blank=True, help_text=_("When the provider last said that it still holds.")
    )
    recorded_at = models.DateTimeField(
        _("recorded at"),
        null=True,
        blank=True,
        help_text=_(
            "When whoever asked for it has drawn the consequences of its outcome, such as the return of stock."
        ),
    )
    sweep_after = models.DateTimeField(
        _("sweep after"),
        null=True,
        blank=True,
        help_text=_("When the sweep takes it up. Empty: there is nothing to do."),
    )
    sweeps = models.PositiveIntegerField(_("sweeps"), default=0, db_default=0, help_text=_("How often it was swept."))

    objects = RefundQuerySet.as_manager()

    class Meta:
        verbose_name = _("refund")
        verbose_name_plural = _("refunds")
        indexes = [
            models.Index(fields=["sweep_after"], condition=Q(sweep_after__isnull=False), name="refund_to_sweep"),
            models.Index(fields=["created_at"], name="refund_created_at"),
            models.Index(
                fields=["answered_at"],
                include=["amount"],
                condition=Q(status="SUCCEEDED"),
                name="refund_succeeded_at",
            ),
        ]
        constraints = [
            models.UniqueConstraint(fields=["payment", "number"], name="refund_number_once"),
            models.UniqueConstraint(fields=["provider_id", "gateway"], name="refund_provider_id_once"),
            models.CheckConstraint(condition=Q(number__gt=0), name="refund_number_is_positive"),
            models.CheckConstraint(condition=Q(amount__gt=0), name="refund_amount_is_positive"),
            models.CheckConstraint(
                condition=Q(status__in=["REQUESTED", "SUCCEEDED", "FAILED"]), name="refund_status_is_known"
            ),
            models.CheckConstraint(
                condition=~Q(status="SUCCEEDED") | Q(provider_id__isnull=False), name="refund_succeeded_has_an_id"
            ),
            models.CheckConstraint(
                condition=Q(status="FAILED") & ~Q(failure_code="") | ~Q(status="FAILED") & Q(failure_code=""),
                name="refund_failed_iff_code",
            ),
            models.CheckConstraint(
                condition=Q(status="REQUESTED", answered_at__isnull=True)
                | ~Q(status="REQUESTED") & Q(answered_at__isnull=False),
                name="refund_answered_iff_known",
            ),
            # An outcome that nobody has heard, or that nobody has acted on, is always taken up again.
            models.CheckConstraint(
                condition=Q(recorded_at__isnull=True, sweep_after__isnull=False)
                | Q(recorded_at__isnull=False) & ~Q(status="REQUESTED"),
                name="refund_is_swept_until_recorded",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.key}: {self.status}"
