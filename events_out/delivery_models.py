"""What is delivered to an endpoint, and what staff are told of it."""

from typing import Self

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from mail_queue import QueuedMail
from orders.models import Order, OrderEvent


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    """The questions that are asked of webhook deliveries in more than one place."""

    def waiting(self) -> Self:
        return self.filter(deliver_after__isnull=False)

    def due_to_endpoints(self) -> Self:
        """Waiting, for endpoints that are on."""
        return self.waiting().filter(endpoint__is_on=True)

    def delivered(self) -> Self:
        return self.filter(delivered_at__isnull=False)

    def given_up(self) -> Self:
        return self.filter(deliver_after=None, delivered_at=None)


class Delivery(models.Model):
    """An event that an endpoint is told of, or a test of the endpoint. What it says is made when it is sent."""

    endpoint = models.ForeignKey(
        "events_out.Endpoint",
        on_delete=models.CASCADE,
        related_name="deliveries",
        verbose_name=_("endpoint"),
        db_index=False,  # delivery_once begins with it
    )
    event = models.ForeignKey(
        OrderEvent,
        on_delete=models.PROTECT,
        related_name="+",
        null=True,
        verbose_name=_("event"),
        help_text=_("Empty: it is a test."),
        db_index=False,  # delivery_of_event: a test has none
    )
    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="+", null=True, verbose_name=_("order"))
    created_at = models.DateTimeField(_("created at"), db_default=Now())
    tries = models.PositiveIntegerField(_("tries"), default=0, db_default=0)
    deliver_after = models.DateTimeField(
        _("deliver after"),
        null=True,
        db_default=Now(),
        help_text=_("When it is tried again. Empty: it was taken, or given up."),
    )
    delivered_at = models.DateTimeField(_("delivered at"), null=True)
    tried_at = models.DateTimeField(_("tried at"), null=True)
    answer_status = models.PositiveIntegerField(_("status of the answer"), null=True)
    answer = models.TextField(_("answer"), blank=True, db_default="", help_text=_("How it begins."))
    last_error = models.TextField(_("last error"), blank=True, db_default="")

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        verbose_name = _("webhook delivery")
        verbose_name_plural = _("webhook deliveries")
        permissions = [("replay_delivery", "Can replay webhook deliveries")]
        indexes = [
            models.Index(
                fields=["endpoint", "deliver_after"], condition=Q(deliver_after__isnull=False), name="delivery_due"
            ),
            models.Index(
                fields=["endpoint", "order", "id"], condition=Q(deliver_after__isnull=False), name="delivery_of_order"
            ),
            models.Index(fields=["created_at"], name="delivery_created_at"),
            # PostgreSQL looks for them when an archived order's events go.
            models.Index(fields=["event"], condition=Q(event__isnull=False), name="delivery_of_event"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["endpoint", "event"], name="delivery_once"),
            models.CheckConstraint(
                condition=Q(event__isnull=True, order__isnull=True) | Q(event__isnull=False, order__isnull=False),
                name="delivery_has_an_order_iff_an_event",
            ),
            models.CheckConstraint(
                condition=Q(deliver_after__isnull=True) | Q(delivered_at__isnull=True),
                name="delivery_that_was_taken_waits_no_more",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.event or 'test'} to {self.endpoint}"


class DeliveryTry(models.Model):
    """One try of a delivery, and what came of it. Nothing of what was sent or answered: that is no log's business."""

    delivery = models.ForeignKey(Delivery, on_delete=models.CASCADE, related_name="log", verbose_name=_("delivery"))
    tried_at = models.DateTimeField(_("tried at"), db_default=Now())
    ended_at = models.DateTimeField(_("ended at"), null=True, help_text=_("Empty: under way, or its worker died."))
    answer_status = models.PositiveIntegerField(_("status of the answer"), null=True)
    error = models.TextField(_("error"), blank=True, db_default="")

    class Meta:
        verbose_name = _("try of a webhook delivery")
        verbose_name_plural = _("tries of webhook deliveries")
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"{self.delivery_id} at {self.tried_at}"


class EndpointMail(QueuedMail):
    """A mail to staff: an endpoint was switched off. Sent to the addresses in STAFF_EMAILS."""

    endpoint = models.ForeignKey(
        "events_out.Endpoint", on_delete=models.CASCADE, related_name="+", verbose_name=_("endpoint")
    )
    reason = models.TextField(_("reason"))

    class Meta:
        verbose_name = _("endpoint mail")
        verbose_name_plural = _("endpoint mails")
        ordering = ["pk"]
        indexes = [models.Index(fields=["send_after"], condition=Q(sent_at__isnull=True), name="endpoint_mail_to_send")]

    def __str__(self) -> str:
        return f"the switching off of {self.endpoint_id}"
