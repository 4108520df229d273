"""What of an order a refund gives back."""

from typing import TYPE_CHECKING, Self

from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.utils.translation import gettext_lazy as _

from catalog.models import StockMovement
from payments.refund_models import Refund

if TYPE_CHECKING:
    from orders.models import Order


class RefundLineQuerySet(models.QuerySet["RefundLine"]):
    """The questions that are asked of refund lines in more than one place."""

    def of_order(self, order: "Order") -> Self:
        return self.filter(line__order=order)

    def binding(self) -> Self:
        """Those whose units can't be given back again: unless the refund has failed, and they are not back in stock."""
        in_stock = StockMovement.objects.filter(
            reference=OuterRef("refund__key"), stock=OuterRef("line__product"), kind=StockMovement.Kind.RETURNED
        )
        return self.filter(~Q(refund__status=Refund.Status.FAILED) | Exists(in_stock))


class RefundLine(models.Model):
    """Units of an order line that a refund is for. A refund of an amount only has none. Append-only, by a trigger."""

    refund = models.ForeignKey(
        Refund,
        on_delete=models.PROTECT,
        related_name="lines",
        verbose_name=_("refund"),
        db_index=False,  # refund_line_once begins with it
    )
    line = models.ForeignKey(
        "orders.OrderLine", on_delete=models.PROTECT, related_name="+", verbose_name=_("order line")
    )
    quantity = models.PositiveIntegerField(_("quantity"))
    restock = models.BooleanField(_("restock"), help_text=_("The units go back to stock once the money has gone back."))

    objects = RefundLineQuerySet.as_manager()

    class Meta:
        verbose_name = _("refund line")
        verbose_name_plural = _("refund lines")
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(fields=["refund", "line"], name="refund_line_once"),
            models.CheckConstraint(condition=Q(quantity__gt=0), name="refund_line_quantity_is_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} of {self.line_id}"
