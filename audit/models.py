"""What the audits found, what differs from the providers' ledgers, and when each scheduled task last ended."""

from datetime import timedelta
from typing import Self

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from money import format_money
from payments.dispute_models import Dispute

MAX_KEY = 255  # characters that every gateway takes


class AuditRun(models.Model):
    """What one audit found."""

    ok = models.BooleanField(_("clean"))
    report = models.JSONField(_("report"))
    created_at = models.DateTimeField(_("created at"), db_default=Now())

    class Meta:
        verbose_name = _("audit run")
        verbose_name_plural = _("audit runs")
        ordering = ["-pk"]

    def __str__(self) -> str:
        time = f"{self.created_at:%Y-%m-%d %H:%M}"
        return (gettext("%(time)s: clean") if self.ok else gettext("%(time)s: NOT clean")) % {"time": time}


class Tick(models.Model):
    """When a scheduled task last ended. Until it has ended once: when it was first scheduled."""

    task = models.CharField(_("task"), max_length=255, primary_key=True)
    ended_at = models.DateTimeField(_("ended at"), db_default=Now())
    clock_skew = models.FloatField(
        _("clock skew"), default=0, help_text=_("Seconds that its worker's clock was ahead of the database's.")
    )
    version = models.CharField(
        _("version"), max_length=12, blank=True, default="", db_default="", help_text=_("The code of its beat.")
    )

    class Meta:
        verbose_name = _("tick")
        verbose_name_plural = _("ticks")

    def __str__(self) -> str:
        return self.task


class LedgerPassQuerySet(models.QuerySet["LedgerPass"]):
    def slow(self) -> Self:
        """It has taken more than MAX_DAYS, and is not at its end. One of a gateway that is gone never will be."""
        gateways = list(settings.PAYMENT_GATEWAYS)
        return self.filter(gateway__in=gateways, began_at__lt=Now() - timedelta(days=LedgerPass.MAX_DAYS))


class LedgerPass(models.Model):
    """How far the reconciliation has come in a gateway's list, which it reads from the newest charge to the oldest."""

    MAX_DAYS = 7  # for one pass; then somebody is told

    gateway = models.CharField(_("gateway"), max_length=32, primary_key=True)
    began_at = models.DateTimeField(_("began at"), null=True, help_text=_("Empty: the next run begins a new pass."))
    compared_since = models.DateTimeField(_("compared since"), null=True, help_text=_("What is newer was compared."))
    carried = ArrayField(
        models.BigIntegerField(),
        default=list,
        verbose_name=_("carried"),
        help_text=_("The ids of payments whose charge was found, and whose own part of the list comes later."),
    )
    ended_at = models.DateTimeField(_("ended at"), null=True, help_text=_("When the pass before this one ended."))

    objects = LedgerPassQuerySet.as_manager()

    class Meta:
        verbose_name = _("pass through a ledger")
        verbose_name_plural = _("passes through the ledgers")

    def __str__(self) -> str:
        return self.gateway


class DifferenceQuerySet(models.QuerySet["Difference"]):
    """The questions that are asked of differences in more than one place."""

    def unresolved(self) -> Self:
        return self.filter(resolved_at=None)

    def being_refunded(self) -> Self:
        """Somebody has decided that the money goes back, and the provider has not answered yet."""
        return self.unresolved().filter(refund_requested_at__isnull=False)


class Difference(models.Model):
    """Something that a provider's ledger and our rows say differently. What differs never changes: see the constraint.

    Amounts are minor units, and 0 where there is nothing. Of a charge that is missing here, `amount_there` is what the
    provider keeps of it; of refunds, both are what was given back. Only disputes have a status.
    """

    class Kind(models.TextChoices):
        MISSING_HERE = "missing_here", _("Charge without a payment")
        MISSING_THERE = "missing_there", _("Payment without a charge")
        AMOUNT_DIFFERS = "amount_differs", _("Another amount")
        REFUND_DIFFERS = "refund_differs", _("Another refund")
        DISPUTE_DIFFERS = "dispute_differs", _("Dispute unknown")

    class Resolution(models.TextChoices):
        GONE = "gone", _("Gone by itself")
        ADOPTED = "adopted", _("Adopted")
        REFUNDED = "refunded", _("Refunded")
        REVIEWED = "reviewed", _("Reviewed")

    kind = models.CharField(_("kind"), max_length=15, choices=Kind)
    gateway = models.CharField(_("gateway"), max_length=32)
    provider_id = models.CharField(_("id at the provider"), max_length=255)
    reference = models.CharField(
        _("reference"),
        max_length=500,
        blank=True,
        help_text=_("The order's code, as the provider or the payment says."),
    )
    amount_there = models.PositiveBigIntegerField(_("amount at the provider"), db_default=0)
    currency_there = models.CharField(_("currency at the provider"), max_length=3, blank=True, db_default="")
    amount_here = models.PositiveBigIntegerField(_("amount here"), db_default=0)
    currency_here = models.CharField(_("currency here"), max_length=3, blank=True, db_default="")
    status_there = models.CharField(
        _("status at the provider"), max_length=4, choices=Dispute.Status, blank=True, db_default=""
    )
    status_here = models.CharField(_("status here"), max_length=4, choices=Dispute.Status, blank=True, db_default="")
    occurred_at = models.DateTimeField(_("occurred at"), help_text=_("When it was charged, paid or disputed."))
    first_seen_at = models.DateTimeField(_("first seen at"), db_default=Now())
    last_seen_at = models.DateTimeField(_("last seen at"), db_default=Now())
    refund_requested_at = models.DateTimeField(
        _("refund requested at"), null=True, blank=True, help_text=_("The provider is asked until it has answered.")
    )
    last_error = models.TextField(
        _("last error"), blank=True, db_default="", help_text=_("What went wrong when the provider was last asked.")
    )
    resolution = models.CharField(_("resolution"), max_length=8, choices=Resolution, blank=True, db_default="")
    resolved_at = models.DateTimeField(_("resolved at"), null=True, blank=True)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, verbose_name=_("actor")
    )
    note = models.TextField(_("note"), blank=True, db_default="", help_text=_("The actor's own words."))

    objects = DifferenceQuerySet.as_manager()

    class Meta:
        verbose_name = _("difference")
        verbose_name_plural = _("differences")
        ordering = ["-pk"]
        permissions = [("resolve_difference", "Can resolve differences")]
        constraints = [
            # What a person has reviewed is not opened again, until something else about it differs.
            models.UniqueConstraint(
                fields=[
                    "kind",
                    "gateway",
                    "provider_id",
                    "amount_there",
                    "currency_there",
                    "amount_here",
                    "currency_here",
                    "status_there",
                    "status_here",
                ],
                condition=Q(resolution__in=["", "reviewed"]),
                name="difference_once",
            ),
            models.CheckConstraint(
                condition=Q(resolution="", resolved_at__isnull=True) | ~Q(resolution="") & Q(resolved_at__isnull=False),
                name="difference_resolved_iff_resolution",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.provider_id} of {self.reference or 'nothing of ours'}"

    @property
    def there(self) -> str:
        """What the provider says, in words."""
        return _describe_side(self.amount_there, self.currency_there, self.get_status_there_display())

    @property
    def here(self) -> str:
        """What our rows say, in words."""
        return _describe_side(self.amount_here, self.currency_here, self.get_status_here_display())

    @property
    def refund_key(self) -> str:
        """The idempotency key of all requests to give its money back.

        Ids alone come again in a database that was restored, and the provider remembers their keys.
        """
        return f"refund-difference-{self.pk}-{self.provider_id}"[:MAX_KEY]


def _describe_side(amount: int, currency: str, status: str) -> str:
    if not currency:
        return gettext("nothing")
    return ", ".join(filter(None, [format_money(amount, currency), status]))
