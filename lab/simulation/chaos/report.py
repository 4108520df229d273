"""What came of a chaos run: what was done to the stack, how the orders ended and how late, and what is wrong."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.db.models import Count, Q, QuerySet

from audit.services import Report, audit_orders
from catalog.models import StockMovement
from lab.simulation.chaos.crowd import Crowd
from lab.simulation.chaos.desks import Desks
from lab.simulation.chaos.lateness import describe_bound, find_late, measure_lateness, measure_waits
from lab.simulation.chaos.mails import count_mails, find_lost_mails
from lab.simulation.chaos.orders import find_orders
from lab.simulation.chaos.problems import describe_violation, find_problems
from lab.simulation.strikes.striker import Striker
from orders.models import Order, OrderEvent

COUNTS = [
    "requests",
    "unanswered",
    "replayed",
    "abandoned",
    "cancels",
    "cancels_too_late",
    "adjustments",
    "bank_answers",
]
PAYMENT_FIELDS = ["status", "payment_method", "requests", "sent_at", "provider_id", "last_error"]


def describe_run(
    *,
    run: str,
    folder: Path,
    crowd: Crowd,
    desks: Desks,
    striker: Striker,
    audits: Sequence[Report],
    crashes: Sequence[str],
) -> dict[str, Any]:
    """The report, after one more audit. `ok` is whether there is no problem; `audits` were made meanwhile."""
    placed, audit, lateness = find_orders(run), audit_orders(), measure_lateness(run, striker.well_at)
    violations = [violation for report in [*audits, audit] for violation in report["violations"]]
    problems = [*find_problems(run, crowd, desks), *find_late(lateness), *find_lost_mails(run, folder)]
    problems += [*map(describe_violation, violations), *crashes]
    return {
        "ok": not problems,
        "kills": striker.kills,
        "strikes": describe_strikes(striker),
        "missed_strikes": dict(striker.missed),
        "orders": count_ends(placed),
        **describe_people(crowd, desks),
        "repairs": placed.filter(events__kind=OrderEvent.Kind.SWEPT).distinct().count(),
        "needs_review": placed.filter(needs_review=True).count(),
        **measure_waits(run),
        "bound": describe_bound(lateness),
        "mails": count_mails(run, folder),
        "events": desks.events.count(striker.well_at),
        "audits_meanwhile": len(audits),
        "audit": audit,
        "problems": problems,
        "problem_orders": describe_orders(run, {code for violation in violations for code in violation["codes"]}),
    }


def describe_people(crowd: Crowd, desks: Desks) -> dict[str, Any]:
    """What customers, staff and banks did, and what they were answered."""
    return {
        "refused": dict(crowd.refused),
        **{name: crowd.counts[name] for name in COUNTS},
        "mismatched_replays": len(crowd.mismatches),
        "payments_again": len(crowd.payers.told),
        "payments_again_refused": dict(crowd.payers.refused),
        "refunds": len(desks.refunds.refunded),
        "disputes": dict(Counter(claim.status for claim in desks.disputes.claims)),
    }


def count_ends(orders: QuerySet[Order]) -> dict[str, int]:
    ends = orders.values_list("status", "cancel_reason").annotate(Count("pk")).order_by("status", "cancel_reason")
    return {f"{status} {reason}".strip(): number for status, reason, number in ends}


def describe_strikes(striker: Striker) -> dict[str, dict[str, int]]:
    """What was done how often, by target."""
    strikes: dict[str, dict[str, int]] = {}
    for (target, kind), number in sorted(striker.done.items()):
        strikes.setdefault(target, {})[kind] = number
    return strikes


def describe_orders(run: str, codes: set[str]) -> list[dict[str, Any]]:
    """All that is known of these orders and of those that did not end: the databases may be thrown away."""
    orders = find_orders(run).filter(Q(status=Order.Status.PENDING) | Q(code__in=codes))
    return [
        {
            "code": order.code,
            "review_reason": order.review_reason,
            "payment": {name: str(getattr(order.payment, name)) for name in PAYMENT_FIELDS},
            "events": [f"{event.created_at:%T.%f} {event.kind} {event.data}" for event in order.events.all()],
            "movements": list(
                StockMovement.objects.filter(reference=order.code).values_list(
                    "stock__product__sku", "kind", "quantity"
                )
            ),
        }
        for order in orders.select_related("payment").prefetch_related("events")[:100]
    ]


def to_text(report: dict[str, Any]) -> str:
    """The report for people: a row for each matter, then the problems."""
    return "\n".join([*(f"{name:8} {value}" for name, value in name_rows(report).items()), *report["problems"]])


def name_rows(report: dict[str, Any]) -> dict[str, object]:
    bound, mails, events = report["bound"], report["mails"], report["events"]
    return {
        "Seed": report["seed"],
        "Strikes": "; ".join(f"{target}: {list_counts(kinds)}" for target, kinds in report["strikes"].items()),
        "Missed": list_counts(report["missed_strikes"]),
        "Orders": list_counts(report["orders"]),
        "Refused": list_counts(report["refused"]),
        "Requests": f"{report['requests']:,} answered, {report['unanswered']:,} not, {report['abandoned']:,} abandoned;"
        f" {report['replayed']:,} answered again, {report['mismatched_replays']} of them otherwise",
        "Changes": f"{report['cancels']} cancels, {report['cancels_too_late']} too late;"
        f" {report['adjustments']} adjustments of stock, {report['refunds']} refunds;"
        f" {report['bank_answers']} customers answered their bank",
        "Again": f"{report['payments_again']} payments after a decline;"
        f" refused: {list_counts(report['payments_again_refused'])}",
        "Disputes": list_counts(report["disputes"]),
        "Repairs": f"{report['repairs']} orders swept; {report['needs_review']} need review",
        "Waits": f"{report['p50_seconds']} s p50, {report['p95_seconds']} s p95,"
        f" {report['longest_wait_seconds']} s longest, from POST to final",
        "Bound": f"every order final within {bound['past_deadline_at_most']:g} s of its deadline"
        f" (the latest: {bound['longest_past_deadline']} s), and within {bound['after_strikes_at_most']:g} s of its"
        f" deadline or the last strike (the latest: {bound['longest_after_strikes']} s)",
        "Mails": f"{mails['sent']} sent, {mails['owed']} owed; the mail server took {mails['taken']}",
        "Events": f"{events['sent']} sent, {events['repeated']} repeated; {events['troubles']} refused or late;"
        f" {events['longest_wait_after_strikes']} s longest, from the event or the last strike",
        "Audits": f"{report['audits_meanwhile']} meanwhile, and one at the end;"
        f" {len(report['audit']['violations'])} violations",
        "Verdict": "nothing was lost" if report["ok"] else "SOMETHING IS WRONG",
    }


def list_counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{number} {what}" for what, number in counts.items()) or "none"
