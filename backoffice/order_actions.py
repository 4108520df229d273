"""What staff can do to orders: an action has its words, changes an order, and tells what became of it."""

from typing import NamedTuple

import structlog
from django.contrib import messages
from django.db import Error
from django.utils.functional import Promise
from django.utils.translation import gettext, gettext_noop
from django.utils.translation import gettext_lazy as _
from kombu.exceptions import OperationalError

from accounts.models import User
from database_errors import describe, is_passing
from orders.models import Order
from orders.notes import add_note
from orders.services import NothingToReview, OrderIsFinal, cancel_order, mark_reviewed, resume_order
from orders.tasks import sweep_stuck_orders

logger = structlog.stdlib.get_logger(__name__)


class Outcome(NamedTuple):
    """What became of orders: the level of the message that says so, and its text, a msgid with their %(codes)s."""

    level: int
    text: str


CONFIRMED = Outcome(messages.SUCCESS, gettext_noop("Confirmed: %(codes)s."))
CANCELLED = Outcome(messages.SUCCESS, gettext_noop("Cancelled: %(codes)s."))
ALREADY_CONFIRMED = Outcome(
    messages.WARNING,
    gettext_noop(
        "Not changed, already confirmed: %(codes)s. Refund such an order on its page, if its money is to go back."
    ),
)
ALREADY_CANCELLED = Outcome(messages.WARNING, gettext_noop("Not changed, already cancelled: %(codes)s."))
NEEDS_NO_REVIEW = Outcome(messages.WARNING, gettext_noop("Not changed, no review needed: %(codes)s."))
ARCHIVED = Outcome(messages.WARNING, gettext_noop("Not changed, already archived: %(codes)s."))
REFUSALS = {Order.Status.CONFIRMED: ALREADY_CONFIRMED, Order.Status.CANCELLED: ALREADY_CANCELLED}
BUSY = Outcome(messages.ERROR, gettext_noop("Not changed, the database is busy: %(codes)s. Try again in a minute."))
FAILED = Outcome(messages.ERROR, gettext_noop("Not changed, it failed: %(codes)s. The log says why."))


class OrderAction:
    """Something that staff do to orders. A subclass has the words, and changes one order."""

    name: str
    choice: Promise  # in the menu above the list of orders
    title: Promise  # on the button of an order's page, and above the question
    text: Promise  # the question: what will happen
    button: Promise
    still_pending: str  # the msgid of the outcome for an order that has no end by it
    needs_note = True

    def foresee_refusal(self, order: Order) -> Outcome | None:
        """Why it would change nothing, as the order's row says already. None: it may change the order."""
        return REFUSALS.get(Order.Status(order.status))

    def change(self, *, code: str, actor: User, note: str) -> Order:
        raise NotImplementedError

    def act_on(self, order: Order, *, actor: User, note: str) -> Outcome:
        """Change the order and return what became of it. A refusal is an outcome too: it stops no other order."""
        try:
            changed = self.change(code=order.code, actor=actor, note=note)
        except OrderIsFinal as final:
            return REFUSALS[Order.Status(str(final))]
        except NothingToReview:
            return NEEDS_NO_REVIEW
        except Order.DoesNotExist:
            return ARCHIVED
        except Error as error:  # the very error that brought the order into review may happen again here
            passing = is_passing(error)
            reason = describe(error)
            logger.error("an action failed", action=self.name, order=order.code, reason=reason, exc_info=not passing)
            return BUSY if passing else FAILED
        return self.describe(changed)

    def describe(self, changed: Order) -> Outcome:
        match changed.status:
            case Order.Status.CONFIRMED:
                return CONFIRMED
            case Order.Status.CANCELLED:
                return CANCELLED
        return Outcome(messages.SUCCESS, self.still_pending)

    def finish(self) -> str:
        """Called once, after at least one order was changed. Returns a warning for staff, or an empty text."""
        return ""


class Cancel(OrderAction):
    name = "cancel_orders"
    choice = _("Cancel selected orders")
    title = _("Cancel")
    text = _(
        "An order whose payment was never sent is cancelled at once. For any other order the payment provider is "
        "asked first: if the money was taken already, the order is confirmed instead."
    )
    button = _("Yes, cancel")
    still_pending = gettext_noop("To be cancelled, unless the provider says it is paid: %(codes)s.")

    def change(self, *, code: str, actor: User, note: str) -> Order:
        return cancel_order(code=code, reason=Order.CancelReason.STAFF, actor=actor, note=note)


class ProcessNow(OrderAction):
    name = "process_orders"
    choice = _("Process selected orders now: ask the provider again")
    title = _("Process now: ask the provider again")
    text = _(
        "The payment provider is asked again, with the same key: nothing is taken twice. Then the order is confirmed "
        "or cancelled as the provider says. Its review ends, and its sweeps are counted from zero."
    )
    button = _("Yes, process now")
    still_pending = gettext_noop("Taken up again: %(codes)s.")
    needs_note = False

    def change(self, *, code: str, actor: User, note: str) -> Order:
        return resume_order(code=code, actor=actor, note=note)

    def finish(self) -> str:
        """Wake the sweep, which takes the orders up: beat wakes it only every few seconds."""
        try:
            sweep_stuck_orders.delay()
        except OperationalError:
            return gettext("The task queue is down: the next sweep takes them up.")
        return ""


class MarkReviewed(OrderAction):
    name = "mark_orders_reviewed"
    choice = _("Mark selected orders reviewed")
    title = _("Mark reviewed")
    text = _(
        "Marks the order as looked at. If it is pending, its processing goes on, and it needs review again only after "
        "as many sweeps as before. If the sweep had given up, it starts again. A refund that failed is not tried "
        "again: make another one."
    )
    button = _("Yes, mark reviewed")
    still_pending = gettext_noop("Marked reviewed: %(codes)s.")

    def foresee_refusal(self, order: Order) -> Outcome | None:
        if order.needs_review:  # also a confirmed one, after a refund that failed
            return None
        return super().foresee_refusal(order) or NEEDS_NO_REVIEW

    def describe(self, changed: Order) -> Outcome:
        return Outcome(messages.SUCCESS, self.still_pending)

    def change(self, *, code: str, actor: User, note: str) -> Order:
        return mark_reviewed(code=code, actor=actor, note=note)


class AddNote(OrderAction):
    name = "note_orders"
    choice = _("Add a note to selected orders")
    title = _("Add a note")
    text = _("The note is added to the order's timeline. Nothing else changes.")
    button = _("Add the note")
    still_pending = gettext_noop("Noted: %(codes)s.")

    def foresee_refusal(self, order: Order) -> Outcome | None:
        return None  # there is something to say of final orders, too

    def describe(self, changed: Order) -> Outcome:
        return Outcome(messages.SUCCESS, self.still_pending)

    def change(self, *, code: str, actor: User, note: str) -> Order:
        return add_note(code=code, actor=actor, note=note)


ADD_NOTE = AddNote()
CANCEL = Cancel()
PROCESS_NOW = ProcessNow()
MARK_REVIEWED = MarkReviewed()
ORDER_ACTIONS = [PROCESS_NOW, MARK_REVIEWED, CANCEL, ADD_NOTE]  # as their buttons stand on the page of an order
