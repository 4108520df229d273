"""That somebody was erased: who did it and when, and not whose data they were."""

from django.conf import settings
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _


class Erasure(models.Model):
    """One customer's data were erased. The pseudonym stands on the orders that are left."""

    customer = models.EmailField(_("pseudonym"))
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        verbose_name=_("actor"),
        help_text=_("Empty: by the command."),
    )
    counts = models.JSONField(_("counts"), help_text=_("How many rows of each kind were changed or deleted."))
    erased_at = models.DateTimeField(_("erased at"), db_default=Now())

    class Meta:
        verbose_name = _("erasure")
        verbose_name_plural = _("erasures")
        ordering = ["-pk"]
        default_permissions = ("add", "view")

    def __str__(self) -> str:
        return self.customer
