"""The guarded functions without their guards."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import uuid4

from django.db.models.functions import Now

from orders.models import Order
from orders.tasks import process_order
from payments.gateway import CardDeclined, Charge, ChargeRequest, GatewayUnavailable
from payments.models import Payment
from payments.stripe_answers import read_charge
from payments.webhook_models import WebhookEvent

Function = Callable[..., Any]


def charge_under_a_fresh_key(confirm: Function) -> Function:
    return lambda gateway, request: confirm(gateway, replace(request, key=uuid4().hex))


def refund_under_a_fresh_key(refund: Function) -> Function:
    return lambda gateway, **asked: refund(gateway, **asked | {"key": uuid4().hex})


def read_without_locking(_: Function) -> Function:
    return lambda code: Order.objects.get(code=code)


def send_whatever_the_status(_: Function) -> Function:
    def mark_sent(reference: str, **_: object) -> Payment:
        # Nobody looks at the row count. An answered payment is not written over: a trigger would refuse that.
        unanswered = Payment.objects.filter(reference=reference, status__in=Payment.UNANSWERED)
        unanswered.update(status=Payment.Status.SENT, sent_at=Now())
        return Payment.objects.get(reference=reference)

    return mark_sent


def send_before_it_is_written(_: Function) -> Function:
    return lambda reference, **_: Payment.objects.get(reference=reference)


def take_silence_for_a_no(charge: Function) -> Function:
    def charge_or_decline(gateway: object, request: ChargeRequest) -> Charge:
        try:
            return charge(gateway, request)  # type: ignore[no-any-return]
        except GatewayUnavailable:
            raise CardDeclined("no_answer") from None

    return charge_or_decline


def cancel_without_asking(_: Function) -> Function:
    return lambda gateway, request: None


def claim_nothing(_: Function) -> Function:
    return lambda **_: []


def write_to_whichever_is_sent(record: Function) -> Function:
    def record_answer(payment: Payment, **answer: Any) -> None:
        sent = Payment.objects.unknown().filter(reference=payment.reference).first()
        record(sent or payment, **answer)

    return record_answer


def send_the_next_beside_the_declined(_: Function) -> Function:
    def close_declined(reference: str) -> bool:
        declined = Payment.objects.filter(reference=reference, status=Payment.Status.DECLINED, closed_at=None)
        return declined.update(closed_at=Now()) > 0

    return close_declined


def leave_a_failure_open(_: Function) -> Function:
    return lambda gateway, saved, request: read_charge(gateway._intents.retrieve(saved["id"]), request)


def announce_nothing(_: Function) -> Function:
    return lambda **_: True


def take_everybody_for_alive(_: Function) -> Function:
    return lambda process: False


def believe_the_event(_: Function) -> Function:
    def write_down(event: WebhookEvent) -> None:
        declined = event.type == "payment_intent.payment_failed"
        answer = (
            {"status": "DECLINED", "decline_code": "x"} if declined else {"status": "SUCCEEDED", "provider_id": "x"}
        )
        Payment.objects.unknown().filter(reference=event.reference).update(answered_at=Now(), **answer)
        process_order(event.reference)

    return write_down


# By the name of a guard: what turns its function into one without the guard.
REMOVALS: dict[str, Callable[[Function], Function]] = {
    "idempotency-key": charge_under_a_fresh_key,
    "row-lock": read_without_locking,
    "compare-and-set": send_whatever_the_status,
    "sweep": claim_nothing,
    "unknown-is-not-no": take_silence_for_a_no,
    "fence": cancel_without_asking,
    "sent-first": send_before_it_is_written,
    "dead-mark": take_everybody_for_alive,
    "repair": claim_nothing,
    "hint": believe_the_event,
    "events-swept": claim_nothing,
    "own-answer": write_to_whichever_is_sent,
    "announced": announce_nothing,
    "close-declined": send_the_next_beside_the_declined,
    "close-failed": leave_a_failure_open,
    "refund-key": refund_under_a_fresh_key,
    "refunds-swept": claim_nothing,
}
