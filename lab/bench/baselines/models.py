"""A stock, an order and its lines, and no more: no reservation, no ledger, no events."""

from django.db import models


class Stock(models.Model):
    sku = models.CharField(max_length=64, unique=True)
    price = models.BigIntegerField()
    on_hand = models.BigIntegerField()

    objects: "models.Manager[Stock]" = models.Manager()  # named, since the types know installed apps only

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(on_hand__gte=0), name="on_hand_is_not_negative")]

    def __str__(self) -> str:
        return self.sku


class Order(models.Model):
    code = models.CharField(max_length=18, unique=True)
    checkout_key = models.CharField(max_length=255, unique=True)
    email = models.EmailField()
    status = models.CharField(max_length=9, default="PENDING")
    total = models.BigIntegerField()
    payment_method = models.CharField(max_length=64)
    provider_id = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField()
    finalized_at = models.DateTimeField(null=True)

    objects: "models.Manager[Order]" = models.Manager()

    def __str__(self) -> str:
        return self.code


class OrderLine(models.Model):
    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="lines")
    stock = models.ForeignKey(Stock, on_delete=models.PROTECT)
    quantity = models.IntegerField()
    price = models.BigIntegerField()

    objects: "models.Manager[OrderLine]" = models.Manager()

    def __str__(self) -> str:
        return f"{self.quantity} x {self.stock}"
