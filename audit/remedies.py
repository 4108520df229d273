"""What staff do about a difference. Each remedy is done once, and is kept with its actor and note."""

from typing import Any, Literal

from django.db import transaction
from django.db.models.functions import Now

from accounts.models import User
from audit.models import Difference
from audit.tasks import refund_surplus
from orders.adopting import NotAdoptable, adopt_charge, waits_for_charge
from orders.disputes import record_dispute
from orders.models import ArchivedOrder, Order, OrderEvent
from orders.tasks import publish_on_commit
from payments.disputes import UnknownCharge, ask_for_dispute
from payments.models import Payment, PaymentQuerySet
from payments.refunds import NotRefundable, adopt_refund
from payments.requests import reach_gateway

Kind = Difference.Kind
Resolution = Difference.Resolution
Proposal = Literal["adopt", "refund", "review"]


class NotRemedied(Exception):
    """Nothing was changed. The text says why, for staff."""


class DifferenceIsResolved(NotRemedied):
    """Somebody has put it right before, or it has gone by itself, or its money is being given back."""


def review_difference(*, pk: int, actor: User, note: str) -> None:
    """Accept the difference as it is: the audit reports it no more, until something else about it differs.

    Raises DifferenceIsResolved, having changed nothing.
    """
    with transaction.atomic():
        difference = _lock_open(pk)
        _add_event(difference, actor=actor, note=note, remedy="reviewed")
        _resolve(difference, Resolution.REVIEWED, actor=actor, note=note)


def adopt_difference(*, pk: int, actor: User, note: str) -> None:
    """Make what the provider has a row of ours: a charge pays its order, a refund or a dispute is written down.

    The provider is asked first, outside any transaction, and its answer counts, not the list that was read before.
    Raises a NotRemedied, having changed nothing, or GatewayUnavailable.
    """
    difference = Difference.objects.get(pk=pk)
    if _is_archived(difference):
        raise NotRemedied("Its order is archived.")
    try:
        match difference.kind:
            case Kind.MISSING_HERE:
                _adopt_charge(difference, actor, note)
            case Kind.REFUND_DIFFERS:
                _adopt_refunds(difference, actor, note)
            case Kind.DISPUTE_DIFFERS:
                _adopt_dispute(difference, actor, note)
            case _:
                raise NotRemedied("There is nothing at the provider to adopt.")
    except (NotAdoptable, NotRefundable, UnknownCharge) as refusal:
        raise NotRemedied(str(refusal)) from None


def refund_difference(*, pk: int, actor: User, note: str) -> None:
    """Decide that money of no order goes back. The provider is asked after the commit, and again until it has answered.

    Raises a NotRemedied, having changed nothing: also for a charge that pays an order, or may do so yet.
    """
    with transaction.atomic():
        difference = _lock_open(pk)
        _check_surplus(difference)
        asked = {"refund_requested_at": Now(), "last_error": "", "actor": actor, "note": note}
        Difference.objects.filter(pk=pk).update(**asked)
        _add_event(difference, actor=actor, note=note, remedy="refunded")
        publish_on_commit(lambda: refund_surplus.delay(pk), difference)


def propose_remedy(difference: Difference) -> Proposal:
    """Which remedy would be taken now. Changes nothing, and does not ask the provider, which may know better."""
    match difference.kind:
        case _ if _is_archived(difference):
            return "review"
        case Kind.MISSING_HERE:
            return _propose_for_charge(difference)
        case Kind.REFUND_DIFFERS if difference.amount_there > difference.amount_here:
            return "adopt"
        case Kind.DISPUTE_DIFFERS if difference.reference:
            return "adopt"
    return "review"


def _is_archived(difference: Difference) -> bool:
    """Its money is for a person to see to: there is no order any more that could be paid, refunded or disputed."""
    return ArchivedOrder.objects.filter(code=difference.reference).exists()


def _propose_for_charge(difference: Difference) -> Proposal:
    order = Order.objects.filter(code=difference.reference).select_related("payment").first()
    money = difference.amount_there, difference.currency_there
    if order and waits_for_charge(order, gateway=difference.gateway, money=money):
        return "adopt"
    try:
        with transaction.atomic():
            _check_surplus(difference)
    except NotRemedied:
        return "review"
    return "refund"


def _adopt_charge(difference: Difference, actor: User, note: str) -> None:
    gateway = reach_gateway(difference.gateway)
    charge = gateway.retrieve(difference.provider_id)
    if charge is None:
        raise NotRemedied("The provider has no such charge any more.")
    if any(made.status == "pending" for made in gateway.list_refunds(provider_id=charge.provider_id)):
        raise NotRemedied("Its money is being given back at the provider.")
    with transaction.atomic():
        _lock_open(difference.pk)
        adopt_charge(gateway=difference.gateway, charge=charge)
        _add_event(difference, actor=actor, note=note, remedy="adopted")
        _resolve(difference, Resolution.ADOPTED, actor=actor, note=note)


def _adopt_refunds(difference: Difference, actor: User, note: str) -> None:
    payment = Payment.objects.get(gateway=difference.gateway, provider_id=difference.provider_id)
    made = reach_gateway(difference.gateway).list_refunds(provider_id=difference.provider_id)
    known = set(payment.refunds.values_list("provider_id", flat=True))
    with transaction.atomic():
        _lock_open(difference.pk)
        adopted = [adopt_refund(payment_id=payment.pk, made=refund) for refund in reversed(made)]
        if not any(refund for refund in adopted if refund and refund.provider_id not in known):
            raise NotRemedied("The provider has no refund that we lack.")
        _add_event(difference, actor=actor, note=note, remedy="adopted")
        _resolve(difference, Resolution.ADOPTED, actor=actor, note=note)


def _adopt_dispute(difference: Difference, actor: User, note: str) -> None:
    made, asked_at = ask_for_dispute(gateway=difference.gateway, provider_id=difference.provider_id)
    with transaction.atomic():
        _lock_open(difference.pk)
        record_dispute(gateway=difference.gateway, made=made, asked_at=asked_at)
        _add_event(difference, actor=actor, note=note, remedy="adopted")
        _resolve(difference, Resolution.ADOPTED, actor=actor, note=note)


def _lock_open(pk: int) -> Difference:
    """Lock an open difference until the transaction ends. Raises DifferenceIsResolved."""
    difference = Difference.objects.select_for_update(of=("self",)).get(pk=pk)
    if difference.resolution:
        raise DifferenceIsResolved(difference.get_resolution_display())
    if difference.refund_requested_at:
        raise DifferenceIsResolved("its money is being given back")
    return difference


def _check_surplus(difference: Difference) -> None:
    if difference.kind != Kind.MISSING_HERE:
        raise NotRemedied("Only money that belongs to no order is given back here. An order is refunded on its page.")
    order = Order.objects.select_for_update().filter(code=difference.reference).first()  # nobody pays it meanwhile
    there = Payment.objects.filter(gateway=difference.gateway)
    paid, named = there.filter(provider_id=difference.provider_id), there.filter(reference=difference.reference)
    if paid.exists() or named.asked().exists() or (order and _may_pay_late(order, named)):
        raise NotRemedied("It pays an order, or may do so yet.")


def _may_pay_late(order: Order, payments: PaymentQuerySet) -> bool:
    """Whether a declined payment that took money after all is the answer to the next one, at the same provider."""
    is_pending, gateway = order.status == Order.Status.PENDING, order.payment.gateway
    return is_pending and payments.unclosed().filter(gateway=gateway).exists()


def _resolve(difference: Difference, resolution: Difference.Resolution, *, actor: User, note: str) -> None:
    resolved = {"resolution": resolution, "resolved_at": Now(), "actor": actor, "note": note}
    Difference.objects.filter(pk=difference.pk).update(**resolved)


def _add_event(difference: Difference, *, actor: User, note: str, remedy: str) -> None:
    """On the order, where there is one."""
    order = Order.objects.filter(code=difference.reference).first()
    if order:
        facts: dict[str, Any] = {"difference": difference.kind, "at_provider": difference.provider_id}
        if difference.currency_there == order.currency:  # an event's amount is in the order's currency
            facts["amount"] = difference.amount_there
        order.add_event(OrderEvent.Kind.RECONCILED, actor=actor, note=note, remedy=remedy, **facts)
