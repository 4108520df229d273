"""Rows that have an amount of money each."""

from typing import TypeVar

from django.db import models

Row = TypeVar("Row", bound=models.Model)


class AmountQuerySet(models.QuerySet[Row]):
    def sum_amount(self) -> int:
        """The minor units of them all."""
        return int(self.aggregate(total=models.Sum("amount", default=0))["total"])
