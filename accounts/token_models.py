"""The bearer tokens of programs. A token itself is stored nowhere."""

from typing import Self

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

SCOPES = ["unlimited", "orders", "refunds", "stock", "events"]


class ApiTokenQuerySet(models.QuerySet["ApiToken"]):
    """The questions that are asked of tokens in more than one place."""

    def valid(self) -> Self:
        """Neither revoked nor expired."""
        return self.filter(Q(expires_at=None) | Q(expires_at__gt=Now()), revoked_at=None)


class ApiToken(models.Model):
    """What one program may do. A revoked token stays as a row, so that its name and its last use stay known."""

    class Scope(models.TextChoices):
        UNLIMITED = "unlimited", _("Place and pay orders without the limits of a customer")
        ORDERS = "orders", _("List the orders of all customers")
        REFUNDS = "refunds", _("Refund orders")
        STOCK = "stock", _("Read and adjust stock")
        EVENTS = "events", _("Read the feed of events")

    name = models.CharField(_("name"), max_length=100, unique=True, help_text=_("Of the program that has it."))
    digest = models.CharField(_("digest"), max_length=64, unique=True, help_text=_("SHA-256 of the token."))
    scopes = ArrayField(models.CharField(max_length=16, choices=Scope), verbose_name=_("scopes"), blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("created by"),
    )
    created_at = models.DateTimeField(_("created at"), db_default=Now())
    expires_at = models.DateTimeField(_("expires at"), null=True, blank=True, help_text=_("Empty: never."))
    last_used_at = models.DateTimeField(_("last used at"), null=True, blank=True, help_text=_("To the minute."))
    revoked_at = models.DateTimeField(_("revoked at"), null=True, blank=True)

    objects = ApiTokenQuerySet.as_manager()

    class Meta:
        verbose_name = _("API token")
        verbose_name_plural = _("API tokens")
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(condition=Q(scopes__contained_by=SCOPES), name="token_scopes_are_known"),
        ]

    def __str__(self) -> str:
        return self.name
