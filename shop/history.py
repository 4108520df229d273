"""A customer's orders: an account's own, and those that were placed as a guest with its email."""

from django.db.models import Q, QuerySet

from accounts.models import User
from orders.models import Order


def find_orders(*, user: User) -> QuerySet[Order]:
    """Newest first. A guest's are among them only where the email is verified: anybody can sign up with another's.

    They stay nobody's: the limits of an account don't count what others order in its name.
    """
    theirs = Q(user=user)
    if user.is_email_verified:
        theirs |= Q(user=None, email=user.email)
    return Order.objects.filter(theirs).order_by("-created_at", "-pk")
