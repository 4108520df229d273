"""How far the events of orders can be read, and who is told of them: the endpoints, and what is delivered to them."""

import secrets
from base64 import b64encode
from typing import Self

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from events_out.delivery_models import Delivery, DeliveryTry, EndpointMail
from events_out.event_types import CHOICES, TYPES

# Django looks for models here.
__all__ = ["Delivery", "DeliveryTry", "Endpoint", "EndpointMail", "Horizon"]


def make_secret() -> str:
    """A new signing secret, as https://www.standardwebhooks.com writes it: 24 random bytes or more."""
    return f"whsec_{b64encode(secrets.token_bytes(32)).decode()}"


class Horizon(models.Model):
    """One row: how far the events can be read, because no smaller id can appear any more. See events_out/feed.py."""

    readable_through = models.BigIntegerField(_("readable through"), default=0)
    candidate = models.BigIntegerField(
        _("candidate"), default=0, help_text=_("The next horizon, once these writers are done.")
    )
    writers = ArrayField(models.CharField(max_length=64), default=list, verbose_name=_("writers"))

    class Meta:
        verbose_name = _("horizon")
        verbose_name_plural = _("horizons")
        constraints = [models.CheckConstraint(condition=Q(pk=1), name="horizon_is_one_row")]

    def __str__(self) -> str:
        return str(self.readable_through)


class EndpointQuerySet(models.QuerySet["Endpoint"]):
    """The questions that are asked of webhook endpoints in more than one place."""

    def on(self) -> Self:
        return self.filter(is_on=True)

    def failing(self) -> Self:
        """They have taken nothing since some failure, whether or not they were switched off for it."""
        return self.filter(failures__gt=0)

    def awake(self) -> Self:
        """They are on, and don't rest after a failure."""
        return self.on().filter(Q(resting_until=None) | Q(resting_until__lte=Now()))


class Endpoint(models.Model):
    """An address of somebody else's that is told of events."""

    name = models.CharField(_("name"), max_length=100, unique=True, help_text=_("Whose it is, such as Warehouse."))
    url = models.CharField(_("URL"), max_length=500)
    types = ArrayField(models.CharField(max_length=32, choices=CHOICES), verbose_name=_("events"))
    is_on = models.BooleanField(
        _("is on"), default=True, help_text=_("If it is switched on again, it is told of all that it missed.")
    )
    secret = models.CharField(_("secret"), max_length=100, default=make_secret, editable=False)
    old_secret = models.CharField(_("old secret"), max_length=100, blank=True, default="", editable=False)
    old_secret_until = models.DateTimeField(
        _("old secret until"), null=True, blank=True, help_text=_("Until then the secret before it signs too.")
    )
    planned_through = models.BigIntegerField(
        _("planned through"), help_text=_("The id of the last event for which its deliveries are written.")
    )
    failing_since = models.DateTimeField(
        _("failing since"), null=True, blank=True, help_text=_("It has taken nothing since then.")
    )
    failures = models.PositiveIntegerField(
        _("failures"), default=0, db_default=0, help_text=_("In a row, of any deliveries.")
    )
    resting_until = models.DateTimeField(
        _("resting until"), null=True, blank=True, help_text=_("After a failure nothing is delivered until then.")
    )
    created_at = models.DateTimeField(_("created at"), db_default=Now())

    objects = EndpointQuerySet.as_manager()

    class Meta:
        verbose_name = _("webhook endpoint")
        verbose_name_plural = _("webhook endpoints")
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                condition=Q(types__contained_by=list(TYPES), types__len__gt=0), name="types_are_known"
            ),
            models.CheckConstraint(
                condition=Q(failures=0, failing_since__isnull=True) | Q(failures__gt=0, failing_since__isnull=False),
                name="endpoint_fails_since_a_time",
            ),
        ]

    def __str__(self) -> str:
        return self.name
