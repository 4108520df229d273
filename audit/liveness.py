"""Is anybody at work? Cheap questions to the rows, asked by a task and by everybody who looks."""

from dataclasses import dataclass, field
from datetime import timedelta

from django.conf import settings
from django.db.models import DurationField, ExpressionWrapper, F, QuerySet
from django.db.models.expressions import CombinedExpression
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from audit.models import Tick
from audit.ticks import read_schedule
from orders.models import Order
from orders.tasks import send_due_mails
from payments.models import Payment

MISSED_TICKS = 3  # so many times may a scheduled task be missing in a row


@dataclass(frozen=True, kw_only=True)
class Liveness:
    """What waits and since when, in seconds by the database's clock, and in words what of it is trouble."""

    uncharged: float  # the age of the oldest order that the provider was never asked about; 0: there is none
    unfinalized: float  # the age of the oldest answer whose order is still pending; 0: there is none
    ticks: dict[str, float]  # since each scheduled task came to its end
    clock_skews: dict[str, float]  # how far its worker's clock was ahead
    troubles: list[str] = field(default_factory=list)


def check_liveness() -> Liveness:
    """Read how long the oldest work waits and when each scheduled task last ended; every process may be down."""
    pending = Order.objects.filter(status=Order.Status.PENDING, needs_review=False)
    ticks = Tick.objects.filter(task__in=read_schedule()).annotate(age=measure_age("ended_at"))
    found = Liveness(
        uncharged=find_oldest(pending.filter(payment__status=Payment.Status.PENDING), "created_at"),
        unfinalized=find_oldest(pending.exclude(payment__status__in=Payment.UNANSWERED), "payment__answered_at"),
        ticks={tick.task: tick.age.total_seconds() for tick in ticks},
        clock_skews={tick.task: tick.clock_skew for tick in ticks},
    )
    found.troubles.extend([*find_waits(found), *find_late_ticks(found), *find_skews(found)])
    return found


def find_waits(found: Liveness) -> list[str]:
    waits = [
        (found.uncharged, _("An order has waited for its first charge for %(seconds)d seconds.")),
        (found.unfinalized, _("An order has waited to be finalized for %(seconds)d seconds.")),
    ]
    return [words % {"seconds": age} for age, words in waits if age > settings.LIVENESS_PATIENCE]


def find_late_ticks(found: Liveness) -> list[str]:
    return [
        _("%(task)s has not run for %(seconds)d seconds.") % {"task": task, "seconds": age}
        for task, age in found.ticks.items()
        if age > read_patience(task)
    ]


def read_patience(task: str) -> float:
    """The seconds within which a scheduled task has to end again. Mails to a slow server take longer than the rest."""
    its_time = settings.MAILS_TIME_LIMIT if task == send_due_mails.name else 0
    return max(MISSED_TICKS * read_schedule()[task], settings.LIVENESS_PATIENCE, its_time)


def find_skews(found: Liveness) -> list[str]:
    return [
        _("The clock of the worker of %(task)s is %(seconds)d seconds off.") % {"task": task, "seconds": skew}
        for task, skew in found.clock_skews.items()
        if abs(skew) > settings.CLOCK_SKEW / 2
    ]


def measure_age(since: str) -> "ExpressionWrapper[CombinedExpression]":
    return ExpressionWrapper(Now() - F(since), output_field=DurationField())


def find_oldest(orders: QuerySet[Order], since: str) -> float:
    age: timedelta | None = (
        orders.annotate(age=measure_age(since)).order_by(since).values_list("age", flat=True).first()
    )
    return age.total_seconds() if age else 0.0
