"""An order, its lines, and the events of its life."""

import secrets

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import get_language

from catalog.models import Product
from payments.models import Payment

CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # no I, L, O or U: nobody misreads a code on the phone


def make_code() -> str:
    """A new order code such as 261124-7K3QM-9XZ2F: the day, then 50 random bits."""
    random = "".join(secrets.choice(CROCKFORD) for _ in range(10))
    return f"{timezone.now():%y%m%d}-{random[:5]}-{random[5:]}"


def current_language() -> str:
    """The reader's language; the shop's own where there is no reader."""
    return get_language() or settings.LANGUAGE_CODE


class Order(models.Model):
    """What a customer wants and will pay. It ends once: CONFIRMED or CANCELLED."""

    class Status(models.TextChoices):
        PENDING = "PENDING"
        CONFIRMED = "CONFIRMED"
        CANCELLED = "CANCELLED"

    class CancelReason(models.TextChoices):
        CARD_DECLINED = "card_declined"
        EXPIRED = "expired"
        CUSTOMER = "customer"
        STAFF = "staff"

    code = models.CharField(max_length=18, unique=True, default=make_code, editable=False)
    checkout_key = models.CharField(max_length=255, unique=True, help_text="The client's idempotency key.")
    checkout_hash = models.CharField(max_length=64, help_text="SHA-256 of what was asked for under that key.")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="orders"
    )
    email = models.EmailField()
    language = models.CharField(max_length=16, default=current_language, help_text="Of the mails to the customer.")
    status = models.CharField(max_length=9, choices=Status, default=Status.PENDING)
    cancel_reason = models.CharField(
        max_length=13, choices=CancelReason, blank=True, help_text="While PENDING: who asked to cancel it."
    )
    currency = models.CharField(max_length=3)
    total = models.PositiveBigIntegerField(help_text="In minor units.")
    payment = models.OneToOneField(Payment, on_delete=models.PROTECT)
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField(help_text="When an unpaid order is cancelled.")
    finalized_at = models.DateTimeField(null=True, blank=True)
    sweep_after = models.DateTimeField(
        null=True, blank=True, help_text="When the sweep takes it up, unless it is final by then. Empty: it gave up."
    )
    attempts = models.PositiveIntegerField(default=0, help_text="How often it was swept.")
    finalize_attempts = models.PositiveIntegerField(default=0, help_text="How often with its payment's answer known.")
    needs_review = models.BooleanField(default=False)
    review_reason = models.TextField(blank=True)

    class Meta:
        ordering = ["-created_at"]
        permissions = [("export_order", "Can export orders")]
        indexes = [
            models.Index(fields=["sweep_after"], condition=Q(status="PENDING"), name="order_to_sweep"),
            models.Index(fields=["-created_at"], name="order_newest_first"),
            models.Index(fields=["email"], name="order_email"),
            models.Index(fields=["-created_at"], condition=Q(status="PENDING"), name="order_pending_newest_first"),
            models.Index(fields=["-created_at"], condition=Q(needs_review=True), name="order_review_newest_first"),
            models.Index(
                fields=["finalized_at"],
                include=["created_at", "currency", "total"],  # the dashboard reads the index alone
                condition=Q(status="CONFIRMED"),
                name="order_confirmed_at",
            ),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(status__in=["PENDING", "CONFIRMED", "CANCELLED"]), name="order_status_is_known"
            ),
            models.CheckConstraint(condition=Q(total__gt=0), name="order_total_is_positive"),
            models.CheckConstraint(
                condition=Q(status="PENDING", finalized_at__isnull=True)
                | ~Q(status="PENDING") & Q(finalized_at__isnull=False),
                name="order_finalized_iff_final",
            ),
            models.CheckConstraint(
                condition=Q(status="PENDING")
                | Q(status="CONFIRMED", cancel_reason="")
                | Q(status="CANCELLED") & ~Q(cancel_reason=""),
                name="order_cancelled_iff_reason",
            ),
        ]

    def __str__(self) -> str:
        return self.code


class OrderLine(models.Model):
    """One product of an order, as it was sold: the product may change or go, the line stays."""

    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="lines")
    product = models.ForeignKey(Product, on_delete=models.PROTECT, related_name="+")
    sku = models.CharField("SKU", max_length=64)
    name = models.CharField(max_length=200)
    price = models.PositiveBigIntegerField(help_text="Of one unit, in minor units.")
    quantity = models.PositiveIntegerField()
    total = models.GeneratedField(
        expression=F("price") * F("quantity"), output_field=models.BigIntegerField(), db_persist=True
    )

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(fields=["order", "product"], name="line_product_once"),
            models.CheckConstraint(condition=Q(quantity__gt=0), name="line_quantity_is_positive"),
            models.CheckConstraint(condition=Q(price__gt=0), name="line_price_is_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} x {self.sku}"


class AuditRun(models.Model):
    """What the audit found at one time."""

    ok = models.BooleanField()
    report = models.JSONField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"{self.created_at:%Y-%m-%d %H:%M}: {'clean' if self.ok else 'NOT clean'}"


class OrderMail(models.Model):
    """A mail that an order owes its customer: written with what it tells of, sent afterwards."""

    class Kind(models.TextChoices):
        CONFIRMED = "confirmed"
        CANCELLED = "cancelled"

    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="mails")
    kind = models.CharField(max_length=9, choices=Kind)
    created_at = models.DateTimeField(db_default=Now())
    send_after = models.DateTimeField(db_default=Now())
    attempts = models.PositiveIntegerField(default=0)
    sent_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["pk"]
        indexes = [models.Index(fields=["send_after"], condition=Q(sent_at__isnull=True), name="mail_to_send")]
        constraints = [models.UniqueConstraint(fields=["order", "kind"], name="mail_once")]

    def __str__(self) -> str:
        return f"{self.order_id}: {self.kind}"


class OrderEvent(models.Model):
    """Something that happened to an order. Append-only: a trigger refuses updates and deletes."""

    class Kind(models.TextChoices):
        PLACED = "placed"
        SWEPT = "swept"
        CANCEL_REQUESTED = "cancel_requested"
        REVIEW_NEEDED = "review_needed"
        RESUMED = "resumed"
        REVIEWED = "reviewed"
        CONFIRMED = "confirmed"
        CANCELLED = "cancelled"

    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="events")
    kind = models.CharField(max_length=16, choices=Kind)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True)
    data = models.JSONField(default=dict, encoder=DjangoJSONEncoder)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["pk"]
        indexes = [models.Index(fields=["created_at"], condition=Q(kind="swept"), name="event_swept_at")]
        constraints = [
            models.UniqueConstraint(
                fields=["order"], condition=Q(kind__in=["confirmed", "cancelled"]), name="event_order_ends_once"
            ),
            models.UniqueConstraint(fields=["order"], condition=Q(kind="placed"), name="event_order_begins_once"),
        ]

    def __str__(self) -> str:
        return f"{self.order_id}: {self.kind}"
