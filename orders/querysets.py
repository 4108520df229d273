"""The questions that more than one place asks of orders."""

import re
from collections.abc import Mapping
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Self

from django.db import connection, models
from django.db.models import BigIntegerField, F, OuterRef, Q, Subquery, Sum
from django.db.models.functions import Cast, Coalesce, Greatest, Now

from accounts.models import User
from database_errors import execute_impatiently
from payments.dispute_models import Dispute, DisputeQuerySet
from payments.models import Payment
from payments.refund_models import Refund, RefundQuerySet

if TYPE_CHECKING:
    from orders.models import Order


HELD = Q(held_until__gt=Now(), expires_at__gt=Now())
# An index finds it anywhere in a text. Others than ASCII are in none, and not every locale has them in an index.
SEARCHABLE = re.compile("[A-Za-z0-9]{3}")


class OrderQuerySet(models.QuerySet["Order"]):
    def pending(self) -> Self:
        return self.filter(status=self.model.Status.PENDING)

    def stuck(self) -> Self:
        """Due for a sweep."""
        return self.pending().filter(sweep_after__lte=Now())

    def in_review(self) -> Self:
        """They wait for a person: the sweep has not ended them, or a refund has failed."""
        return self.filter(needs_review=True)

    def given_up(self) -> Self:
        """Left to a person: the sweep takes them up no more."""
        return self.pending().filter(sweep_after=None)

    def unpaid(self) -> Self:
        """Pending, and their money was not taken yet."""
        return self.pending().exclude(payment__status=Payment.Status.SUCCEEDED)

    def held(self) -> Self:
        """Pending after a decline: another payment may still be tried."""
        return self.pending().filter(HELD)

    def answered(self) -> Self:
        """Pending and not held, and the provider has said yes or no: only finalizing is left."""
        return self.pending().exclude(payment__status__in=Payment.UNANSWERED).exclude(HELD)

    def waiting_for_us(self) -> Self:
        """Pending because nobody here has come to them: neither the provider nor the customer is waited for."""
        return self.pending().filter(Q(payment__in=Payment.objects.unsent()) | Q(pk__in=self.answered().values("pk")))

    def being_refunded(self) -> Self:
        """Money of them is going back, and nobody knows yet whether it arrived."""
        return self.filter(payment__in=Refund.objects.open().values("payment"))

    def refunded_in_part(self) -> Self:
        return self.filter(refunded__gt=0, refunded__lt=F("total"))

    def refunded_in_whole(self) -> Self:
        return self.filter(refunded__gt=0, refunded=F("total"))

    def with_refunding(self) -> Self:
        """Each with its minor units that are `refunding` and `taken_back`.

        The first are being given back, and not known to have gone back. The others the customer's bank took.
        """
        asked, taken_back = _sum_of_payment(Refund.objects.not_failed()), _sum_of_payment(Dispute.objects.not_won())
        return self.annotate(refunding=Greatest(asked - F("refunded"), 0), taken_back=taken_back)

    def execute(self, statement: str, parameters: Mapping[str, Any], *, impatiently: bool = False) -> "Order | None":
        """Execute a statement that returns the {columns} of one order, or nothing.

        The columns are named. If it were `*`, a migration that adds one would break the statements that PostgreSQL has
        prepared. The metadata are left out, and read when somebody asks for them: no statement needs them.
        """
        text, names = _name_columns(statement, self.model)
        with connection.cursor() as cursor:
            execute = partial(execute_impatiently, cursor) if impatiently else cursor.execute
            execute(text, parameters)
            row = cursor.fetchone()
        return row and self.model.from_db(cursor.db.alias, names, row)

    def with_text(self, *, code: str, email: str) -> Self:
        """Whose code or email contains the text; begins with it, if it has no three letters or digits in a row."""
        if not (SEARCHABLE.search(code) and SEARCHABLE.search(email)):
            return self.filter(Q(code__startswith=code) | Q(email__startswith=email))
        text = Q(code__contains=code) | Q(email__contains=email)
        # order_ended_search has no pending orders: they are few, and change too often for such an index.
        ended = self.model.objects.exclude(status=self.model.Status.PENDING).filter(text)
        pending = self.model.objects.pending().filter(text)
        return self.filter(pk__in=ended.order_by().values("pk").union(pending.order_by().values("pk"), all=True))

    def of_customer(self, user: User) -> Self:
        """An account's own, and those that somebody placed as a guest with its email, if that is verified.

        Anybody can sign up with another's email. A guest's order stays nobody's: the limits of an account don't count
        what others order in its name.
        """
        theirs = Q(user=user)
        if user.is_email_verified:
            theirs |= Q(user=None, email=user.email)
        return self.filter(theirs)


@cache  # it holds a few: each statement of ours once
def _name_columns(statement: str, model: type[models.Model]) -> tuple[str, list[str]]:
    """The statement with its {columns} named, and what Django calls them."""
    fields = [field for field in model._meta.concrete_fields if field.name != "metadata"]
    text = statement.format(columns=", ".join(str(field.column) for field in fields))
    return text, [field.attname for field in fields]


def _sum_of_payment(rows: RefundQuerySet | DisputeQuerySet) -> Cast:
    of_payment = rows.filter(payment=OuterRef("payment")).order_by().values("payment")
    total = Subquery(of_payment.annotate(total=Sum("amount")).values("total"))
    return Cast(Coalesce(total, 0, output_field=BigIntegerField()), BigIntegerField())
