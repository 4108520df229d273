"""How orders placed as a guest come to the account whose email they were placed with."""

from typing import Any

from django.contrib.auth.signals import user_logged_in
from django.dispatch import receiver

from accounts.models import User
from accounts.services import email_verified
from orders.models import Order


def claim_guest_orders(*, user: User) -> int:
    """Give a user with a verified email the orders of nobody that have it; return how many. A repeat finds none."""
    if not user.is_email_verified:
        return 0
    return Order.objects.filter(user=None, email=user.email).update(user=user)


@receiver(email_verified)
@receiver(user_logged_in)  # what was ordered as a guest since then
def _claim(user: User, **_: Any) -> None:
    claim_guest_orders(user=user)
