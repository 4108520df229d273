"""With one guard switched off, a story that ends well in the other tests ends badly, and the audit says so."""

import time
from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest

from tests.crash.conftest import run_drill
from tests.crash.drill import DECLINED, DROPPED, PRICE, VISA, Drill, Purchase
from tests.crash.guards import GUARDS, Guard
from tests.crash.stories import (
    charge_late,
    confirm_after_the_next,
    crash_at,
    finish,
    lose_the_worker,
    pay_again_before_a_late_no,
    resume_while_it_is_finalized,
)
from tests.webhooks import FAILED


@pytest.fixture(scope="module")
def unguarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drill]:
    """A shop for these tests alone, because what goes wrong in it stays wrong."""
    with run_drill(tmp_path_factory.mktemp("unguarded")) as running:
        yield running


def ask_again(drill: Drill, purchase: Purchase) -> None:
    crash_at(drill, purchase, "charge.unread")
    finish(drill, purchase)


def expire_after_the_charge(drill: Drill, purchase: Purchase) -> None:
    crash_at(drill, purchase, "charge.unread")
    drill.make_expired(purchase)
    drill.wait_until_final(purchase)


def lose_the_message(drill: Drill, purchase: Purchase) -> None:
    crash_at(drill, purchase, "place.committed")
    drill.make_overdue(purchase)


def lose_the_answer(drill: Drill, purchase: Purchase) -> None:
    drill.insist(purchase)
    finish(drill, purchase)


def charge_after_an_unsent_cancel(drill: Drill, purchase: Purchase) -> None:
    charge_late(drill, purchase, "charge.started")


def charge_after_a_sent_cancel(drill: Drill, purchase: Purchase) -> None:
    charge_late(drill, purchase, "charge.sent")


def send_an_old_event(drill: Drill, purchase: Purchase) -> None:
    drill.place_unknown(purchase)
    drill.tell(purchase, FAILED)
    drill.wait_until_final(purchase)


def lose_an_event(drill: Drill, purchase: Purchase) -> None:
    crash_at(drill, purchase, "webhook.stored")
    drill.make_lost(purchase)
    time.sleep(5)  # several sweeps of events


def ask_for_the_refund_again(drill: Drill, purchase: Purchase) -> None:
    """Half of the money is to go back, so that it can go back twice."""
    drill.insist(purchase)
    drill.wait_until_final(purchase)
    drill.arm("refund.unread", purchase)
    drill.refund(purchase, amount=PRICE // 2)
    drill.wait_until_reached("refund.unread", purchase)
    drill.make_refund_due(purchase)
    drill.wait_until_refunded(purchase)


def lose_the_refund(drill: Drill, purchase: Purchase) -> None:
    crash_at(drill, purchase, "refund.committed")
    drill.make_refund_due(purchase, late="5 min")
    time.sleep(3)  # several sweeps of refunds


STORIES: dict[str, Callable[[Drill, Purchase], None]] = {
    "idempotency-key": ask_again,
    "row-lock": resume_while_it_is_finalized,
    "compare-and-set": charge_after_an_unsent_cancel,
    "sweep": lose_the_message,
    "unknown-is-not-no": lose_the_answer,
    "fence": charge_after_a_sent_cancel,
    "sent-first": expire_after_the_charge,
    "dead-mark": lose_the_worker,
    "repair": lose_the_worker,
    "hint": send_an_old_event,
    "events-swept": lose_an_event,
    "own-answer": pay_again_before_a_late_no,
    "close-declined": confirm_after_the_next,
    "refund-key": ask_for_the_refund_again,
    "refunds-swept": lose_the_refund,
}
METHODS = dict.fromkeys(["unknown-is-not-no", "hint", "events-swept"], DROPPED) | dict.fromkeys(
    ["own-answer", "close-declined"], DECLINED
)


def tell(drill: Drill, guard: Guard) -> set[str]:
    """Tell the guard's story. Return the invariants that the audit then finds broken for its order."""
    method = METHODS.get(guard.name, VISA)
    purchase = Purchase(uuid4().hex, method, hold_on_decline=600 if method == DECLINED else 0)
    drill.stock([purchase.sku])
    STORIES[guard.name](drill, purchase)
    return {found["invariant"] for found in drill.audit() if drill.code_of(purchase) in found["codes"]}


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.name)
def test_without_its_guard_an_order_goes_wrong_and_the_audit_says_so(unguarded: Drill, guard: Guard) -> None:
    with unguarded.switched_off(guard.name):
        assert tell(unguarded, guard) == guard.broken
