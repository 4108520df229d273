"""What providers tell unasked, as it came."""

import json
from typing import Any, Self

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _


class WebhookEventQuerySet(models.QuerySet["WebhookEvent"]):
    """The questions that are asked of webhook events in more than one place."""

    def waiting(self) -> Self:
        return self.filter(process_after__isnull=False)

    def processed(self) -> Self:
        return self.filter(processed_at__isnull=False)

    def given_up(self) -> Self:
        """Looked at as often as it makes sense: the sweep takes them up no more."""
        return self.filter(process_after=None, processed_at=None)


class WebhookEvent(models.Model):
    """Something that a provider told us, as it came. It is a hint, and no answer: see payments/webhooks.py."""

    ID_LENGTH, TYPE_LENGTH, REFERENCE_LENGTH = 255, 100, 32

    provider = models.CharField(_("provider"), max_length=16)
    event_id = models.CharField(_("id at the provider"), max_length=ID_LENGTH)
    type = models.CharField(_("type"), max_length=TYPE_LENGTH)
    reference = models.CharField(
        _("reference"), max_length=REFERENCE_LENGTH, blank=True, db_default="", help_text=_("Empty: it names none.")
    )
    body = models.TextField(_("body"), help_text=_("As it was received."))
    received_at = models.DateTimeField(_("received at"), db_default=Now())
    tries = models.PositiveIntegerField(
        _("tries"), default=0, db_default=0, help_text=_("How often it was taken up after it was received.")
    )
    process_after = models.DateTimeField(
        _("process after"),
        null=True,
        blank=True,
        help_text=_("When the sweep takes it up. Empty: it is processed, or was given up."),
    )
    processed_at = models.DateTimeField(
        _("processed at"), null=True, blank=True, help_text=_("From then on there was nothing left to learn from it.")
    )

    objects = WebhookEventQuerySet.as_manager()

    class Meta:
        verbose_name = _("webhook event")
        verbose_name_plural = _("webhook events")
        permissions = [("replay_webhookevent", "Can replay webhook events")]
        indexes = [
            models.Index(fields=["process_after"], condition=Q(process_after__isnull=False), name="webhook_to_process"),
            models.Index(fields=["received_at"], name="webhook_received_at"),
            models.Index(fields=["reference"], condition=~Q(reference=""), name="webhook_reference"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["provider", "event_id"], name="webhook_received_once"),
            models.CheckConstraint(
                condition=Q(process_after__isnull=True) | Q(processed_at__isnull=True),
                name="webhook_processed_waits_no_more",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.event_id} of {self.reference or 'nothing of ours'}"

    @property
    def about(self) -> dict[str, Any]:
        """The object that it tells of, as it came. Empty where the body has none: nobody checked what is in it."""
        try:
            match json.loads(self.body):
                case {"data": {"object": dict(about)}}:
                    return about
        except (ValueError, RecursionError):
            pass
        return {}

    def read_id(self, name: str) -> str:
        """An id in that object. Empty where it is none."""
        value = self.about.get(name)
        return value if isinstance(value, str) and value.isprintable() and len(value) <= self.ID_LENGTH else ""
