"""What ends first: each limit of the processes as `make run` starts them, with the rate at which it is met."""

from dataclasses import dataclass

from lab.growth.inputs import Inputs
from lab.growth.laws import capacity
from lab.growth.machine import Conditions, list_stations
from lab.growth.measured import AUDIT_SECONDS, CPU_CASE, Measured
from lab.growth.plan import HOUR, limit_database, web_cpu
from lab.stack.shop import WEB_PROCESSES

DAY = 86_400
# https://docs.stripe.com/rate-limits in 2026, live mode: requests a second of an account, to one endpoint such as POST
# /v1/payment_intents, and to all of them. Stripe raises them on request.
STRIPE_ENDPOINT, STRIPE_ACCOUNT = 25.0, 100.0
# Copies, as the shop's modules need its settings. A test holds them against the shop's own.
LIST_TIMEOUT, LIST_PAGE, AUDIT_DAYS, RECONCILE_DAYS = 1200.0, 100, 2, 60  # seconds for a list, charges on its pages
RECONCILE_EVERY, PASS_DAYS = 6 * 3600.0, 7  # seconds, days; a run reads for LIST_TIMEOUT, and the next one goes on
AUDIT_TIME = 1800.0  # seconds
SWEEP_BATCH, SWEEP_EVERY = 100, 5.0
COMPUTED, LAW, STATED = "computed", "computed; its law is checked", "stated by Stripe"


@dataclass(frozen=True)
class Limit:
    """`known` says whether it was measured, is stated by somebody, or is computed only."""

    what: str
    rate: float  # orders a second
    known: str
    lift: str


def list_limits(measured: Measured, inputs: Inputs) -> list[Limit]:
    """The lowest first."""
    limits = [*_limit_provider(inputs), *_limit_processes(measured, inputs), *_limit_servers(measured, inputs)]
    return sorted(limits, key=lambda limit: limit.rate)


def _limit_provider(inputs: Inputs) -> list[Limit]:
    listed = LIST_TIMEOUT / inputs.latency * LIST_PAGE
    in_time = f"charges in {LIST_TIMEOUT / 60:g} minutes (the average of these days)"
    own_account = "then an account at the provider for each shop"
    return [
        Limit(
            f"reconciliation reads {RECONCILE_DAYS} days of charges once in {PASS_DAYS} days (their average)",
            listed * PASS_DAYS * DAY / RECONCILE_EVERY / RECONCILE_DAYS / DAY,
            COMPUTED,
            f"`RECONCILE_EVERY=3600`; {own_account}",
        ),
        Limit(
            f"the scheduled audit reads {AUDIT_DAYS} days of {in_time}",
            listed / AUDIT_DAYS / DAY,
            COMPUTED,
            f"`AUDIT_DAYS=1`; {own_account}",
        ),
        Limit("Stripe: requests to one endpoint", STRIPE_ENDPOINT, STATED, "ask Stripe for more; or several accounts"),
        Limit("Stripe: all requests", STRIPE_ACCOUNT, STATED, "ask Stripe for more; or several accounts"),
    ]


def _limit_processes(measured: Measured, inputs: Inputs) -> list[Limit]:
    conditions = Conditions(latency=inputs.latency, commit=inputs.commit, is_hot=True)
    found = {station.name: station.capacity for station in list_stations(measured, conditions)}
    mail = capacity(seconds=measured.cpu["mails"] / 1000 + inputs.commit + inputs.mail, servers=1)
    rate = measured.bench[CPU_CASE, "end to end/s", "orderly"]
    pages = capacity(seconds=web_cpu(measured, inputs), servers=WEB_PROCESSES)
    return [
        Limit("one mails worker (mails are late, nothing else)", mail, COMPUTED, "more workers `mails`"),
        Limit(
            "the sweep (a repair is late, nothing else)",
            SWEEP_BATCH / SWEEP_EVERY,
            COMPUTED,
            "`SWEEP_EVERY=1`; a second beat",
        ),
        Limit("two web processes, with customers' pages", pages, COMPUTED, "a web process for each core, anywhere"),
        Limit("two cores, without pages", rate, "measured", "PostgreSQL, web and workers on their own machines"),
        Limit("48 threads that charge", found["payments: threads"], LAW, "more workers `payments`"),
        Limit(
            "the row of one product that everybody wants",
            found["the product's row"],
            LAW,
            "a faster commit; several SKUs for one thing, such as blocks of seats; else the waiting room",
        ),
        Limit("one orders worker", found["orders: one worker"], LAW, "more workers `orders`"),
    ]


def _limit_servers(measured: Measured, inputs: Inputs) -> list[Limit]:
    broker = capacity(seconds=measured.cpu["valkey"] / 1000, servers=inputs.busy)
    log = inputs.busy * inputs.disk / measured.log_bytes_after_checkpoint
    each = "one for each shop or event"
    audited = AUDIT_TIME / AUDIT_SECONDS / (inputs.days * inputs.hours * HOUR)
    return [
        Limit(
            f"the audit reads {inputs.days:g} days of {inputs.hours:g} hours in {AUDIT_TIME / 60:g} minutes",
            audited,
            COMPUTED,
            each,
        ),
        Limit(f"a primary of {inputs.database_cores:g} cores", limit_database(measured, inputs), COMPUTED, each),
        Limit("one Valkey for everything", broker, COMPUTED, f"a broker beside it (`BROKER_URL`); {each}"),
        Limit("the log of one primary on its disk", log, COMPUTED, f"a faster disk; {each}"),
    ]
