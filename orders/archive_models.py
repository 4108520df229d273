"""Which orders are in the archive, and no longer here."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _


class ArchivedOrder(models.Model):
    """An order that stands in a file, and no longer here. Its payments and stock movements stay, and name its code.

    Triggers let an order's rows go only once this row is there: orders/migrations/0011_archived_orders.py.
    """

    code = models.CharField(_("code"), max_length=18, primary_key=True)
    customer = models.EmailField(
        _("customer"), blank=True, help_text=_("A pseudonym of the email, as it stands in the file. Empty: erased.")
    )
    file = models.CharField(_("file"), max_length=100, help_text=_("The name of the file that has the order."))
    archived_at = models.DateTimeField(_("archived at"), db_default=Now())

    class Meta:
        verbose_name = _("archived order")
        verbose_name_plural = _("archived orders")
        indexes = [models.Index(fields=["customer"], condition=~Q(customer=""), name="archived_of_customer")]

    def __str__(self) -> str:
        return self.code
