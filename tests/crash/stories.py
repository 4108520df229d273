"""What can happen to one order: it is placed, its processes die or stand still on the way, and time passes."""

import time
from dataclasses import dataclass

from tests.crash.drill import PRICE, Drill, Purchase
from tests.crash.points import BY_NAME, NOTHING, Left, Point
from tests.waiting import wait_for


@dataclass(frozen=True)
class Outcome:
    """What became of an order, as the customer, the provider and the shop's shelf see it."""

    code: str
    end: tuple[str, str]  # status and reason
    charges: int
    stock: tuple[int, int]
    refunded: int  # minor units at the provider
    repeated: tuple[int, str]  # the answer to the same request now: HTTP status, code


PAID = ("CONFIRMED", "")
REFUSED = ("CANCELLED", "card_declined")
EXPIRED = ("CANCELLED", "expired")
BY_STAFF = ("CANCELLED", "staff")


def look_at(drill: Drill, purchase: Purchase) -> Outcome:
    status, order = drill.insist(purchase)
    return Outcome(
        code=drill.code_of(purchase),
        end=(order["status"], order["reason"]),
        charges=drill.count_charges(order["code"]),
        stock=drill.stock_of(purchase.sku),
        refunded=drill.count_refunded(order["code"]),
        repeated=(status, order["code"]),
    )


def finish(drill: Drill, purchase: Purchase) -> Outcome:
    """Let time pass until the order is final."""
    drill.make_due(purchase)
    drill.wait_until_final(purchase)
    return look_at(drill, purchase)


def finish_refund(drill: Drill, purchase: Purchase) -> Outcome:
    """Let staff repeat the request for the refund, and time pass until it is over."""
    assert drill.refund(purchase)
    drill.make_refund_due(purchase)
    drill.wait_until_refunded(purchase)
    return look_at(drill, purchase)


def assert_outcome(outcome: Outcome, end: tuple[str, str], *, refunded: bool = False) -> None:
    """A paid order has one charge and one unit sold of ten, another has none. The repeated request finds the order.

    A refunded one has its unit back in stock, and the customer the money.
    """
    is_paid = end == PAID
    assert outcome.end == end
    assert outcome.charges == is_paid
    assert outcome.stock == (10 - is_paid + refunded, 0)
    assert outcome.refunded == PRICE * refunded
    assert outcome.repeated == (200, outcome.code)


def crash_at(drill: Drill, purchase: Purchase, *story: str) -> Left:
    """Place the order, and have a process killed at each point in turn. Return what the last one left behind."""
    first, *rest = (BY_NAME[name] for name in story)
    if first.name.startswith("again."):
        return crash_while_paying_again(drill, purchase, first)
    if first.name.startswith("action."):
        return crash_while_the_customer_acts(drill, purchase, first, *rest)
    if first.name == "held.over":
        return crash_when_the_hold_is_over(drill, purchase, first)
    if first.name.startswith("transfer."):
        return crash_while_a_transfer_is_recorded(drill, purchase, first)
    if first.name.startswith("refund."):
        drill.insist(purchase)
        drill.wait_until_final(purchase)
        rest = [first, *rest]
        left = NOTHING
    elif first.name.startswith("webhook."):
        drill.place_unknown(purchase)
        rest = [first, *rest]
        left = NOTHING
    else:
        left = die_on_the_way(drill, purchase, first)
    for point in rest:
        drill.arm(point.name, purchase)
        bring_to(point, purchase, drill)
        left = drill.wait_until_reached(point.name, purchase)
    return left


def die_on_the_way(drill: Drill, purchase: Purchase, first: Point) -> Left:
    """Place the order, and have a process killed at the point, to which it comes by itself."""
    drill.arm(first.name, purchase)
    if first.process == "web":
        assert drill.ask(purchase) is None
    else:
        drill.insist(purchase)
    return drill.wait_until_reached(first.name, purchase)


def crash_while_paying_again(drill: Drill, purchase: Purchase, point: Point) -> Left:
    """The order's first card is declined, it is held, and a good card is tried."""
    drill.insist(purchase)
    drill.wait_until_held(purchase)
    drill.arm(point.name, purchase)
    answer = drill.pay_again(purchase)
    assert (answer is None) == (point.process == "web")
    left = drill.wait_until_reached(point.name, purchase)
    wait_for(lambda: paid_again(drill, purchase), "an answer to the second payment")
    return left


def crash_while_the_customer_acts(drill: Drill, purchase: Purchase, first: Point, *rest: Point) -> Left:
    """The bank asks the customer, who answers it, but not where the order's deadline comes before."""
    if first.name in ("action.unwritten", "action.recorded"):
        left = die_on_the_way(drill, purchase, first)
        drill.make_due(purchase)
        drill.act(purchase)
        return left
    drill.insist(purchase)
    drill.wait_until_asked(purchase)
    if first.name == "action.answered":
        drill.act(purchase)
    left = NOTHING
    for point in (first, *rest):
        drill.arm(point.name, purchase)
        bring_to(point, purchase, drill)
        left = drill.wait_until_reached(point.name, purchase)
    return left


def crash_while_a_transfer_is_recorded(drill: Drill, purchase: Purchase, point: Point) -> Left:
    """The customer pays by transfer, and staff press until the admin says that it is recorded."""
    drill.insist(purchase)
    drill.arm(point.name, purchase)
    assert drill.record_transfer(purchase) == (point.process != "web")
    left = drill.wait_until_reached(point.name, purchase)
    wait_for(lambda: drill.record_transfer(purchase), "the record of the transfer")
    return left


def crash_when_the_hold_is_over(drill: Drill, purchase: Purchase, point: Point) -> Left:
    """The order's card is declined, it is held, and no other is tried."""
    drill.insist(purchase)
    drill.wait_until_held(purchase)
    drill.arm(point.name, purchase)
    drill.end_hold(purchase)
    return drill.wait_until_reached(point.name, purchase)


def paid_again(drill: Drill, purchase: Purchase) -> bool:
    answer = drill.pay_again(purchase)
    return answer is not None and answer[0] in (200, 201)


def bring_to(point: Point, purchase: Purchase, drill: Drill) -> None:
    """Do what leads an order that stands still to the point."""
    match point.name.partition(".")[0]:
        case "webhook" if point.name != "webhook.swept":  # to which the event comes by itself
            drill.tell(purchase)
        case "action" if point.name == "action.closed":
            drill.make_expired(purchase)
        case "sweep" | "finalize" | "action":
            drill.make_due(purchase)
        case "refund" if point.after:
            drill.make_refund_due(purchase)
        case "refund":
            assert drill.refund(purchase) == (point.process != "web")
        case "expiry":
            drill.make_expired(purchase)
        case "cancel":
            drill.send_staff("cancel_orders", purchase)
        case "resume":
            drill.send_staff("process_orders", purchase)


def lose_the_worker(drill: Drill, purchase: Purchase) -> None:
    """The payments worker dies while it asks, and has started again. The order's next sweep is far away."""
    crash_at(drill, purchase, "charge.sent")
    drill.make_lost(purchase)
    drill.wait_until_idle("payments")


def charge_late(drill: Drill, purchase: Purchase, point: str) -> None:
    """The charge task stands still at the point until its order is past the deadline and cancelled; then it goes on."""
    drill.arm(point, purchase, action="pause")
    drill.insist(purchase)
    drill.wait_until_reached(point, purchase)
    drill.make_expired(purchase)
    drill.wait_until_final(purchase)
    drill.release(point, purchase)
    drill.wait_until_idle("payments")


def pay_again_before_a_late_no(drill: Drill, purchase: Purchase) -> None:
    """The no to the first card is heard twice: the second time while the second card has paid, but not written down."""
    drill.arm("charge.answered", purchase, action="pause")
    drill.insist(purchase)
    drill.wait_until_reached("charge.answered", purchase)
    wait_for(lambda: drill.is_out_of_flight(purchase), "the end of the first request's time")
    drill.make_due(purchase)
    drill.wait_until_held(purchase)
    drill.arm("again.answered", purchase, action="pause")
    drill.pay_again(purchase)
    drill.wait_until_reached("again.answered", purchase)
    drill.release("charge.answered", purchase)
    time.sleep(1)  # the late no is written down, or not
    drill.release("again.answered", purchase)
    drill.wait_until_idle("payments")
    drill.end_hold(purchase)
    drill.wait_until_final(purchase)


def confirm_after_the_next(drill: Drill, purchase: Purchase) -> None:
    """The second card pays, and then somebody confirms the first payment at the provider, which was declined."""
    drill.insist(purchase)
    drill.wait_until_held(purchase)
    drill.pay_again(purchase)
    drill.wait_until_final(purchase)
    drill.confirm_declined(purchase)


def confirm_after_a_failure(drill: Drill, purchase: Purchase) -> None:
    """The customer fails at the bank and the order is cancelled. Then their browser confirms the payment anew."""
    drill.insist(purchase)
    drill.act(purchase)
    finish(drill, purchase)
    drill.confirm_declined(purchase)


def expire_after_a_transfer(drill: Drill, purchase: Purchase) -> None:
    """Staff record the transfer, its task is lost, and the order's deadline passes."""
    drill.insist(purchase)
    drill.arm("transfer.committed", purchase)
    drill.record_transfer(purchase)
    drill.wait_until_reached("transfer.committed", purchase)
    drill.make_expired(purchase)
    drill.wait_until_final(purchase)


def resume_while_it_is_finalized(drill: Drill, purchase: Purchase) -> None:
    """Staff's request has read the order and stands still; the order is finalized, or waits; then it goes on."""
    drill.arm("charge.recorded", purchase, action="pause")
    drill.insist(purchase)
    drill.wait_until_reached("charge.recorded", purchase)
    drill.arm("resume.locked", purchase, action="pause")
    with drill.in_background(lambda: drill.send_staff("process_orders", purchase)):
        drill.wait_until_reached("resume.locked", purchase)
        drill.release("charge.recorded", purchase)
        wait_for(lambda: drill.is_somebody_waiting() or drill.status_of(purchase) != "PENDING", "finalize_order")
        drill.release("resume.locked", purchase)
