"""What is wrong after a chaos run and unknown to the audit: only the customers and the staff can tell."""

from collections import Counter
from collections.abc import Collection, Iterator
from itertools import islice

from django.conf import settings
from django.db.models import QuerySet, Sum

from audit.services import Violation
from catalog.models import Stock
from lab.simulation.chaos.crowd import Crowd
from lab.simulation.chaos.desks import Desks
from lab.simulation.chaos.orders import find_orders
from orders.models import Order, OrderLine
from payments.gateway import Charge, get_gateway

FAIR_REFUSALS = {"insufficient_stock"}


def find_problems(run: str, crowd: Crowd, desks: Desks) -> Iterator[str]:
    """Say in words what the customers, the staff, the banks and who is told of events know to be wrong."""
    placed = find_orders(run)
    if pending := placed.filter(status=Order.Status.PENDING).values_list("code", flat=True):
        yield f"not final: {list_codes(pending)}"
    if unfair := {code: number for code, number in crowd.refused.items() if code not in FAIR_REFUSALS}:
        yield f"refused: {unfair}"
    yield from crowd.mismatches
    known = dict(placed.values_list("checkout_key", "code"))
    yield from (
        f"{key}: the customer was told {code}, the shop has {known.get(key)}"
        for key, code in (known | crowd.codes).items()
        if known.get(key) != crowd.codes.get(key)
    )
    yield from crowd.payers.find_problems()
    yield from desks.refunds.find_problems()
    yield from desks.disputes.find_problems()
    yield from desks.events.find_problems()
    kept = sum(charge.amount - charge.refunded - charge.owed for charge in find_charges(set(known.values())))
    confirmed = placed.filter(status=Order.Status.CONFIRMED)
    owed = confirmed.aggregate(total=Sum("total", default=0))["total"] - sum(desks.refunds.refunded.values())
    if kept != owed:
        yield f"the provider keeps {kept}, the confirmed orders less their refunds are {owed}"
    sold = count_units(confirmed)
    for sku, on_hand in Stock.objects.filter(product__sku__in=crowd.added).values_list("product__sku", "on_hand"):
        if on_hand != (counted := crowd.added[sku] - sold[sku] + desks.refunds.returned[sku]):
            yield f"{sku}: {on_hand} on hand, counted {counted}"
    if crowd.counts["changes_given_up"]:
        yield f"{crowd.counts['changes_given_up']} cancels or adjustments were never answered"


def describe_violation(violation: Violation) -> str:
    return f"{violation['invariant']}, {violation['detail']}: {list_codes(violation['codes'])}"


def list_codes(codes: Collection[str]) -> str:
    """The first ten, and how many more there are."""
    more = len(codes) - 10
    return ", ".join(islice(codes, 10)) + (f" and {more} more" if more > 0 else "")


def find_charges(codes: set[str]) -> list[Charge]:
    gateways = map(get_gateway, settings.PAYMENT_GATEWAYS)
    return [charge for gateway in gateways for charge in gateway.list_charges() if charge.reference in codes]


def count_units(orders: QuerySet[Order]) -> Counter[str]:
    """Units sold, by SKU."""
    lines = OrderLine.objects.filter(order__in=orders).values_list("sku").annotate(Sum("quantity")).order_by("sku")
    return Counter(dict(lines))
