"""An order and its lines."""

from datetime import timedelta
from functools import cached_property

from django.conf import settings
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import F, Func, JSONField, Q, TextField, Value
from django.db.models.functions import Cast, Length, Now
from django.db.models.lookups import Exact, LessThanOrEqual
from django.utils.translation import gettext_lazy as _

from accounts.email_addresses import ASCII_LOWER
from accounts.models import User
from catalog.models import Product
from languages import current_language
from orders.archive_models import ArchivedOrder
from orders.codes import make_code
from orders.dispute_models import DisputeMail
from orders.event_models import OrderEvent
from orders.mail_models import OrderMail
from orders.querysets import OrderQuerySet
from orders.refund_models import RefundLine
from orders.signals import announce_event
from payments.models import Payment

# Django looks for models here.
__all__ = ["ArchivedOrder", "DisputeMail", "Order", "OrderEvent", "OrderLine", "OrderMail", "RefundLine"]


MAX_METADATA = 8_192  # bytes of its JSON. PostgreSQL writes blanks between its parts


class Order(models.Model):
    """What a customer wants and will pay. It ends once: CONFIRMED or CANCELLED.

    Triggers keep what was agreed, and how and when it ended: orders/migrations/0002_triggers.py.
    """

    class Status(models.TextChoices):
        PENDING = "PENDING", _("Pending")
        CONFIRMED = "CONFIRMED", _("Confirmed")
        CANCELLED = "CANCELLED", _("Cancelled")

    class CancelReason(models.TextChoices):
        CARD_DECLINED = "card_declined", _("Card declined")
        EXPIRED = "expired", _("Expired")
        CUSTOMER = "customer", _("Customer")
        STAFF = "staff", _("Staff")

    code = models.CharField(_("code"), max_length=18, unique=True, default=make_code, editable=False)
    checkout_key = models.CharField(
        _("checkout key"), max_length=255, unique=True, help_text=_("The client's idempotency key.")
    )
    checkout_hash = models.CharField(
        _("checkout hash"), max_length=64, help_text=_("SHA-256 of what was asked for under that key.")
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="orders",
        verbose_name=_("user"),
        db_index=False,  # order_of_user: a guest's order has no entry
    )
    email = models.EmailField(_("email"))
    language = models.CharField(
        _("language"), max_length=16, default=current_language, help_text=_("Of the mails to the customer.")
    )
    status = models.CharField(
        _("status"), max_length=9, choices=Status, default=Status.PENDING, db_default=Status.PENDING
    )
    cancel_reason = models.CharField(
        _("cancel reason"),
        max_length=13,
        choices=CancelReason,
        blank=True,
        db_default="",
        help_text=_("While the order is pending: who asked to cancel it."),
    )
    currency = models.CharField(_("currency"), max_length=3)
    total = models.PositiveBigIntegerField(_("total"), help_text=_("In minor units."))
    metadata = models.JSONField(
        _("metadata"),
        default=dict,
        db_default=Value({}, JSONField()),
        blank=True,
        help_text=_("What the client wants to keep with the order, such as an address."),
    )
    refunded = models.PositiveBigIntegerField(
        _("refunded"), default=0, db_default=0, help_text=_("What was given back, in minor units.")
    )
    payment = models.OneToOneField(Payment, on_delete=models.PROTECT, verbose_name=_("payment"))
    created_at = models.DateTimeField(_("created at"), db_default=Now())
    expires_at = models.DateTimeField(_("expires at"), help_text=_("When an unpaid order is cancelled."))
    hold_on_decline = models.PositiveIntegerField(
        _("hold on decline"),
        default=0,
        db_default=0,
        help_text=_("For how many seconds it stays reserved after a decline, so that another payment can be tried."),
    )
    held_until = models.DateTimeField(
        _("held until"),
        null=True,
        blank=True,
        help_text=_("Its payment was declined: another can be tried until then."),
    )
    finalized_at = models.DateTimeField(_("finalized at"), null=True, blank=True)
    sweep_after = models.DateTimeField(
        _("sweep after"),
        null=True,
        blank=True,
        help_text=_("When the sweep takes it up, unless it is final by then. Empty: it gave up."),
    )
    sweeps = models.PositiveIntegerField(_("sweeps"), default=0, db_default=0, help_text=_("How often it was swept."))
    finalize_attempts = models.PositiveIntegerField(
        _("finalize attempts"), default=0, db_default=0, help_text=_("How often with its payment's answer known.")
    )
    refunding: int  # of Order.objects.with_refunding(), as the next one
    taken_back: int
    needs_review = models.BooleanField(_("needs review"), default=False, db_default=False)
    review_reason = models.TextField(_("review reason"), blank=True, db_default="")

    objects = OrderQuerySet.as_manager()

    class Meta:
        verbose_name = _("order")
        verbose_name_plural = _("orders")
        ordering = ["-created_at"]
        permissions = [("export_order", "Can export orders"), ("refund_order", "Can refund orders")]
        indexes = [
            models.Index(fields=["sweep_after"], condition=Q(status="PENDING"), name="order_to_sweep"),
            models.Index(fields=["-created_at"], name="order_newest_first"),
            # It finds whole addresses, and what they begin with.
            models.Index(fields=["email"], opclasses=["varchar_pattern_ops"], name="order_email_prefix"),
            GinIndex(
                fields=["code", "email"],
                opclasses=["gin_trgm_ops", "gin_trgm_ops"],
                condition=~Q(status="PENDING"),
                # kB. Whoever ends the order that fills the list sorts it in, and others wait for its stock: for 0.04 s.
                # With PostgreSQL's own 4 MB it would be half a second.
                gin_pending_list_limit=256,
                name="order_ended_search",
            ),
            models.Index(fields=["user"], condition=Q(user__isnull=False), name="order_of_user"),
            models.Index(fields=["-created_at"], condition=Q(status="PENDING"), name="order_pending_newest_first"),
            models.Index(fields=["-created_at"], condition=Q(needs_review=True), name="order_review_newest_first"),
            models.Index(fields=["-created_at"], condition=Q(refunded__gt=0), name="order_refunded_newest_first"),
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
                condition=Q(refunded__gte=0, refunded__lte=F("total")), name="order_refunded_is_at_most_the_total"
            ),
            models.CheckConstraint(condition=Q(email__regex=ASCII_LOWER), name="order_email_is_ascii_lower"),
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
            models.CheckConstraint(
                condition=~Q(status="PENDING") | Q(needs_review=True) | Q(sweep_after__isnull=False),
                name="order_pending_is_swept_or_reviewed",
            ),
            models.CheckConstraint(
                condition=Q(expires_at__lte=F("created_at") + timedelta(days=366)), name="order_expires_within_a_year"
            ),
            models.CheckConstraint(
                condition=Exact(Func("metadata", function="jsonb_typeof", output_field=TextField()), "object"),
                name="order_metadata_is_an_object",
            ),
            models.CheckConstraint(
                condition=LessThanOrEqual(Length(Cast("metadata", TextField())), 2 * MAX_METADATA),
                name="order_metadata_is_bounded",
            ),
        ]

    def __str__(self) -> str:
        return self.code

    @cached_property
    def cached_lines(self) -> "list[OrderLine]":
        """Its lines, read once. Those of an order that was placed just now are not read at all."""
        return list(self.lines.all())

    def add_event(self, kind: OrderEvent.Kind, *, actor: User | None = None, note: str = "", **data: object) -> None:
        """Write down what happened. The note is staff's own words, for staff."""
        data |= {"note": note} if note else {}
        OrderEvent.objects.create(order=self, kind=kind, actor=actor, data=data)
        announce_event(code=self.code, kind=kind)


class OrderLine(models.Model):
    """One product of an order, as it was sold: the product may change or go, the line stays (a trigger sees to it)."""

    order = models.ForeignKey(
        Order,
        on_delete=models.PROTECT,
        related_name="lines",
        verbose_name=_("order"),
        db_index=False,  # line_product_once begins with it
    )
    product = models.ForeignKey(Product, on_delete=models.PROTECT, related_name="+", verbose_name=_("product"))
    sku = models.CharField(_("SKU"), max_length=64)
    name = models.CharField(_("name"), max_length=200)
    price = models.PositiveBigIntegerField(_("price"), help_text=_("Of one unit, in minor units."))
    quantity = models.PositiveIntegerField(_("quantity"))
    total = models.GeneratedField(
        verbose_name=_("total"),
        expression=F("price") * F("quantity"),
        output_field=models.BigIntegerField(),
        db_persist=True,
    )

    class Meta:
        verbose_name = _("order line")
        verbose_name_plural = _("order lines")
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(fields=["order", "product"], name="line_product_once"),
            models.CheckConstraint(condition=Q(quantity__gt=0), name="line_quantity_is_positive"),
            models.CheckConstraint(condition=Q(price__gt=0), name="line_price_is_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} x {self.sku}"
