"""What staff do about a difference. Each remedy is done once, and is kept with its actor and note."""

from django.db import transaction
from django.db.models.functions import Now

from accounts.models import User
from audit.models import Difference

Resolution = Difference.Resolution


class NotRemedied(Exception):
    """Nothing was changed. The text says why, for staff."""


class DifferenceIsResolved(NotRemedied):
    """Somebody has put it right before, or it has gone by itself."""


def review_difference(*, pk: int, actor: User, note: str) -> Difference:
    """Accept the difference as it is: the audit reports it no more, until something else about it differs.

    Raises DifferenceIsResolved, having changed nothing.
    """
    with transaction.atomic():
        difference = lock_difference(pk)
        _resolve(difference, Resolution.REVIEWED, actor=actor, note=note)
        return difference


def lock_difference(pk: int) -> Difference:
    """Lock an open difference until the transaction ends. Raises DifferenceIsResolved."""
    difference = Difference.objects.select_for_update(of=("self",)).get(pk=pk)
    if difference.resolution:
        raise DifferenceIsResolved(difference.get_resolution_display())
    return difference


def _resolve(difference: Difference, resolution: Difference.Resolution, *, actor: User, note: str) -> None:
    Difference.objects.filter(pk=difference.pk).update(resolution=resolution, resolved_at=Now(), actor=actor, note=note)
