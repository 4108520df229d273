"""What staff can do about a difference: the words of each remedy, when it is offered, and what is done."""

from collections.abc import Callable
from typing import NamedTuple

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from audit.models import Difference
from audit.remedies import adopt_difference, refund_difference, review_difference

Kind = Difference.Kind


class Remedy(NamedTuple):
    """Something that staff do about a difference. `kinds` are those for which its button is shown."""

    name: str
    title: Promise
    text: Promise  # the question: what will happen
    button: Promise
    done: Promise
    kinds: tuple[Difference.Kind, ...]
    act: Callable[..., object]

    def is_offered(self, difference: Difference) -> bool:
        return not (difference.resolution or difference.refund_requested_at) and difference.kind in self.kinds


REVIEW = Remedy(
    name="review",
    title=_("Mark reviewed"),
    text=_(
        "Nothing is changed, here or at the provider. The audit accepts the difference as it is, and reports it again "
        "as soon as anything more differs."
    ),
    button=_("Yes, mark reviewed"),
    done=_("The difference is marked reviewed."),
    kinds=tuple(Kind),
    act=review_difference,
)
ADOPT = Remedy(
    name="adopt",
    title=_("Adopt"),
    text=_(
        "What the provider has becomes a row of ours. The provider is asked once more. A charge pays its order, if it "
        "is exactly of the order's total and the order still waits for money. A refund or a dispute is written down."
    ),
    button=_("Yes, adopt"),
    done=_("It is adopted."),
    kinds=(Kind.MISSING_HERE, Kind.REFUND_DIFFERS, Kind.DISPUTE_DIFFERS),
    act=adopt_difference,
)
REFUND = Remedy(
    name="refund",
    title=_("Refund"),
    text=_("The money belongs to no order. The provider is asked to give all of it back that it still keeps."),
    button=_("Yes, refund"),
    done=_("The provider is asked to give the money back, until it has answered."),
    kinds=(Kind.MISSING_HERE,),
    act=refund_difference,
)
REMEDIES = {remedy.name: remedy for remedy in (ADOPT, REFUND, REVIEW)}
