"""Whether anybody is at work. Only the database is asked, so that it can be told while every process is down."""

from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db.models import DurationField, ExpressionWrapper, F, Func, QuerySet
from django.db.models.expressions import CombinedExpression
from django.db.models.functions import Coalesce, Now
from django.utils.translation import gettext as _

from audit.models import Tick
from audit.ticks import read_schedule
from events_out.tasks import send_due_mails as send_endpoint_mails
from orders.models import Order
from orders.tasks import send_due_mails
from payments.models import Payment

MISSED_TICKS = 3  # a scheduled task may miss this many of its times in a row


@dataclass(frozen=True, kw_only=True)
class Liveness:
    """How long work has waited, in seconds by the database's clock."""

    uncharged: float  # the age of the oldest payment that the provider was never asked for; 0: there is none
    unfinalized: float  # the age of the oldest answer whose order is still pending; 0: there is none
    ticks: dict[str, float]  # by scheduled task: how long ago it last ended
    clock_skews: dict[str, float]  # by scheduled task: how far its worker's clock was ahead

    @property
    def troubles(self) -> list[str]:
        """What of this is longer than it may be, in words."""
        return [*find_waits(self), *find_late_ticks(self), *find_skews(self)]


def check_liveness() -> Liveness:
    """Read how long the oldest work has waited, and when each scheduled task last ended.

    An order in review is left out: it waits for a person, who was told. One that is held waits for its customer.
    """
    uncharged = Order.objects.pending().filter(payment__in=Payment.objects.unsent(), needs_review=False)
    unfinalized = Order.objects.answered().filter(needs_review=False)
    ticks = Tick.objects.filter(task__in=read_schedule()).annotate(age=measure_age(F("ended_at")))
    return Liveness(
        uncharged=measure_oldest(uncharged, Coalesce("payment__sent_at", "payment__created_at")),
        unfinalized=measure_oldest(unfinalized, Coalesce("held_until", "payment__answered_at")),
        ticks={tick.task: tick.age.total_seconds() for tick in ticks},
        clock_skews={tick.task: tick.clock_skew for tick in ticks},
    )


def find_waits(liveness: Liveness) -> list[str]:
    waits = [
        (liveness.uncharged, _("An order has waited for its first charge for %(seconds)d seconds.")),
        (liveness.unfinalized, _("An order has waited to be finalized for %(seconds)d seconds.")),
    ]
    return [words % {"seconds": age} for age, words in waits if age > settings.LIVENESS_PATIENCE]


def find_late_ticks(liveness: Liveness) -> list[str]:
    return [
        _("%(task)s has not run for %(seconds)d seconds.") % {"task": task, "seconds": age}
        for task, age in liveness.ticks.items()
        if age > read_patience(task)
    ]


def find_skews(liveness: Liveness) -> list[str]:
    return [
        _("The clock of the worker of %(task)s is %(seconds)d seconds off.") % {"task": task, "seconds": skew}
        for task, skew in liveness.clock_skews.items()
        if abs(skew) > settings.CLOCK_SKEW / 2
    ]


def read_patience(task: str) -> float:
    """The seconds within which a scheduled task has to end again, at least as long as one run of it may take."""
    time_limit = settings.MAILS_TIME_LIMIT if task in (send_due_mails.name, send_endpoint_mails.name) else 0
    return max(MISSED_TICKS * read_schedule()[task], settings.LIVENESS_PATIENCE, time_limit)


def measure_age(since: F | Func) -> "ExpressionWrapper[CombinedExpression]":
    return ExpressionWrapper(Now() - since, output_field=DurationField())


def measure_oldest(orders: QuerySet[Order], since: F | Func) -> float:
    ages = orders.annotate(age=measure_age(since)).order_by("-age").values_list("age", flat=True)
    oldest: timedelta | None = ages.first()
    return oldest.total_seconds() if oldest else 0.0
