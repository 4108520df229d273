"""Refunds over HTTP what cancellations bring back, once its orders are final, and waits for how each refund ends."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from django.db.models import Q, Sum

from lab.simulation.replay import Answer, Report, Shop
from lab.simulation.returns import Return
from lab.simulation.waiting import wait_for_none
from orders.models import Order
from orders.refund_models import RefundLine
from payments.refund_models import Refund, RefundQuerySet


def refund_returns(
    returns: Iterable[Return], *, codes: Collection[str], shop: Shop, report: Report, concurrency: int
) -> set[str]:
    """Refund each return of the confirmed orders among `codes`; return the codes of those orders.

    The refunds of one order are asked for one after the other. What is not refunded is counted by its reason.
    """
    of_order: defaultdict[str, list[Return]] = defaultdict(list)
    for returned in returns:
        of_order[returned.sale].append(returned)
    orders = Order.objects.filter(code__in=codes, checkout_key__in=of_order)
    placed = {key: (code, status) for key, code, status in orders.values_list("checkout_key", "code", "status")}
    confirmed = {}
    for sale, parts in of_order.items():
        match placed.get(sale):
            case (code, Order.Status.CONFIRMED):
                confirmed[code] = parts
            case None:
                report.unreturned["not_placed"] += sum(len(part.quantities) for part in parts)
            case _:
                report.unreturned["not_confirmed"] += sum(len(part.quantities) for part in parts)
    with ThreadPoolExecutor(concurrency) as pool:
        for answers in pool.map(partial(_refund_parts, shop), confirmed.items()):
            for part, answer in answers:
                if answer.refused:
                    report.unreturned[answer.refused] += len(part.quantities)
    return set(confirmed)


def wait_until_recorded(codes: Collection[str], *, report: Report, timeout: float) -> int:
    """Ask the database until no refund of these orders is open, at most `timeout` seconds; return how many are.

    Those that succeeded are counted in the report. Goes on when the database restarts meanwhile.
    """
    open_refunds = wait_for_none(_find(codes).filter(recorded_at=None).count, timeout=timeout)
    _count(codes, report)
    return open_refunds


def _refund_parts(shop: Shop, order: tuple[str, list[Return]]) -> list[tuple[Return, Answer]]:
    code, parts = order
    return [(part, shop.refund(code, part)) for part in parts]


def _find(codes: Collection[str]) -> RefundQuerySet:
    return Refund.objects.filter(payment__reference__in=codes)


def _count(codes: Collection[str], report: Report) -> None:
    given = _find(codes).succeeded().filter(~Q(recorded_at=None))
    report.refunds, report.refunded_minor = given.count(), given.sum_amount()
    restocked = RefundLine.objects.filter(refund__in=given, restock=True)
    report.returned_units = restocked.aggregate(units=Sum("quantity"))["units"] or 0
