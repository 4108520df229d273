"""What staff can do about a difference: the words of each remedy, when it is offered, and what is done."""

from collections.abc import Callable
from typing import NamedTuple

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from audit.models import Difference
from audit.remedies import review_difference

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
        return not difference.resolution and difference.kind in self.kinds


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
REMEDIES = {remedy.name: remedy for remedy in (REVIEW,)}
