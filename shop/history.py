"""Finds a customer's orders: those of the account, and those that a guest placed with its email."""

from django.db.models import Q, QuerySet

from accounts.models import User
from orders.models import Order


def find_orders(*, user: User) -> QuerySet[Order]:
    """Find the user's orders, newest first.

    The orders of guests with the user's email are among them only if the email is verified, since anybody can sign up
    with somebody else's. They don't become the user's own: the limits of an account don't count what others order in
    its name.
    """
    theirs = Q(user=user)
    if user.is_email_verified:
        theirs |= Q(user=None, email=user.email)
    return Order.objects.filter(theirs).order_by("-created_at", "-pk")
