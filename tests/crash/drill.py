"""What a test does to a running shop: buy, arm points, let time pass, send staff, and look at what came of it."""

import json
import re
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from threading import Lock
from typing import Any, LiteralString
from urllib.error import HTTPError
from urllib.request import Request, urlopen
from uuid import uuid4

import psycopg
import requests
from celery import Celery

from config.broker import configure_broker
from lab.stack.processes import Process
from lab.stack.stack import Stack
from tests.crash.points import BY_NAME, Left
from tests.waiting import PATIENCE, wait_for
from tests.webhooks import SUCCEEDED, make_event, post_event

PRICE = 500
VISA, DECLINED = "pm_card_visa", "pm_card_visa_chargeDeclined"
DROPPED = "pm_sandbox_drop"  # charged, but the answer is lost
SLOW = "pm_sandbox_slow"
ASKS = "pm_card_authenticationRequired"
TRANSFER = "transfer"  # to the gateway `manual`
STAFF = {"email": "staff@example.com", "password": "kept-for-the-crash-tests"}


@dataclass(frozen=True)
class Purchase:
    """What one customer asks for, always with the same key."""

    sku: str
    payment_method: str = VISA
    hold_on_decline: int = 0  # seconds
    approves: bool = True  # where the customer has to act at the bank
    key: str = field(default_factory=lambda: uuid4().hex)


class Drill:
    """A shop whose processes run under tests.crash.settings with `folder` as CRASH_FOLDER."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self.stack = stack
        self._folder = folder
        self._staff: requests.Session | None = None
        self._staff_lock = Lock()

    # The customer

    def stock(self, skus: Iterable[str], *, units: int = 10) -> None:
        """Products to sell, each with so many units."""
        catalog = self.stack.folder / f"{uuid4().hex}.csv"
        catalog.write_text("sku,name,price\n" + "".join(f"{sku},Mug,5.00\n" for sku in skus))
        loaded = self.stack.manage("load_catalog", str(catalog), "--stock", str(units))
        assert loaded.returncode == 0, loaded.stderr

    def ask(self, purchase: Purchase) -> tuple[int, dict[str, Any]] | None:
        """Place the order. Return the status and the body of the answer, or None if none came."""
        body = {
            "email": "ann@example.com",
            "lines": [{"sku": purchase.sku, "quantity": 1}],
            "payment_method": purchase.payment_method,
            "expected_total": PRICE,
            "hold_on_decline": purchase.hold_on_decline,
        } | ({"gateway": "manual"} if purchase.payment_method == TRANSFER else {})
        return self._post("/api/orders", body, **{"Idempotency-Key": purchase.key})

    def pay_again(self, purchase: Purchase, *, number: int = 2) -> tuple[int, dict[str, Any]] | None:
        """Pay the order with a good card. Return the status and the body of the answer, or None if none came."""
        return self._post(f"/api/orders/{self.code_of(purchase)}/payments", {"number": number, "payment_method": VISA})

    def wait_until_held(self, purchase: Purchase) -> None:
        held = "SELECT held_until IS NOT NULL FROM orders_order WHERE checkout_key = %s"
        wait_for(lambda: self.query(held, purchase.key), f"the hold of {purchase}")

    def wait_until_asked(self, purchase: Purchase) -> None:
        """Wait until the shop says that the customer has to act at the bank."""
        wait_for(lambda: self.payment_of(purchase) == "ACTION_REQUIRED", f"the bank's question to {purchase}")

    def act(self, purchase: Purchase) -> None:
        """Answer the bank, as the customer does, and never come back to the shop."""
        self.wait_until_asked(purchase)
        order = f"{self.stack.web_url}/orders/{self.code_of(purchase)}"
        bank = wait_for(
            lambda: requests.get(f"{order}/action/", allow_redirects=False, timeout=20).headers.get("Location"),
            "the way to the bank",
        )
        answer = {"answer": "approve" if purchase.approves else "fail"}
        assert requests.post(bank, answer, allow_redirects=False, timeout=20).status_code == 303

    def _post(self, path: str, body: dict[str, Any], **headers: str) -> tuple[int, dict[str, Any]] | None:
        headers["Content-Type"] = "application/json"
        request = Request(f"{self.stack.web_url}{path}", json.dumps(body).encode(), headers)
        try:
            with urlopen(request, timeout=20) as response:
                return response.status, json.load(response)
        except HTTPError as refusal:
            with refusal:
                return refusal.code, {"body": refusal.read().decode()}
        except (OSError, HTTPException, ValueError):
            return None

    def insist(self, purchase: Purchase) -> tuple[int, dict[str, Any]]:
        """Repeat the request until it is answered."""
        return wait_for(lambda: accepted(self.ask(purchase)), f"an answer to {purchase}")

    # The provider

    def tell(self, purchase: Purchase, kind: str = SUCCEEDED) -> int | None:
        """Send an event of the order's payment as the provider does, once. Return the status of the answer, if any."""
        return self.post(make_event(self.code_of(purchase), kind))

    def post(self, event: bytes) -> int | None:
        return post_event(self.stack.web_url, event, self.stack.environment["STRIPE_WEBHOOK_SECRETS"])

    def place_unknown(self, purchase: Purchase) -> None:
        """Place the order, charged with an answer that is lost, and wait until the shop has noted that."""
        assert purchase.payment_method == DROPPED
        self.insist(purchase)
        unknown = """SELECT last_error <> '' AND in_flight_until IS NULL AND status = 'SENT'
                     FROM payments_payment WHERE reference = %s"""
        wait_for(lambda: self.query(unknown, self.code_of(purchase)), "the lost answer")

    # Staff

    def send_staff(self, action: str, purchase: Purchase) -> None:
        """Apply an admin action to the order, as a browser does. The answer may be lost."""
        number = self.query("SELECT id FROM orders_order WHERE checkout_key = %s", purchase.key)
        form = {"action": action, "_selected_action": str(number), "confirmed": "yes", "note": "It hangs."}
        self._post_as_staff("/admin/orders/order/", form)

    def record_transfer(self, purchase: Purchase) -> bool:
        """Record that the money for the order has arrived, always as the same transfer; return whether it was taken."""
        form = {
            "reference": self.code_of(purchase),
            "amount": f"{PRICE // 100}.00",
            "provider_id": f"bank-{purchase.key}",
            "day": str(datetime.now(UTC).date()),
        }
        return self._post_as_staff("/admin/payments/transfer/record/", form) == HTTPStatus.FOUND

    def remedy(self, difference: int, name: str) -> bool:
        """Resolve the difference from the provider's ledger; return whether that was taken."""
        path = f"/admin/audit/difference/{difference}/remedy/{name}/"
        return self._post_as_staff(path, {"note": "Lost with the primary."}) == HTTPStatus.FOUND

    def _post_as_staff(self, path: str, form: dict[str, str]) -> int | None:
        with self._staff_lock:
            self._staff = self._staff or self._log_in()
            session = requests.Session()
            session.cookies.update(self._staff.cookies)
        form = form | {"csrfmiddlewaretoken": session.cookies["csrftoken"]}
        try:
            return session.post(f"{self.stack.web_url}{path}", form, timeout=60, allow_redirects=False).status_code
        except requests.ConnectionError:
            return None
        finally:
            session.close()

    def refund(self, purchase: Purchase, *, amount: int | None = None) -> bool:
        """Refund the order's unit, or an amount of it, as a request of staff does. Return whether that was answered."""
        returned = "" if amount else "Returned(line.pk, 1) for line in order.lines.all()"
        call = f"""
from orders.models import Order
from orders.refunds import Returned, refund_order
order = Order.objects.get(code={self.code_of(purchase)!r})
refund_order(code=order.code, number=1, lines=[{returned}], amount={amount})
"""
        return self.stack.manage("shell", "-c", call).returncode == 0

    def _log_in(self) -> requests.Session:
        done = self.stack.manage("createsuperuser", "--no-input", "--email", STAFF["email"])
        assert done.returncode == 0, done.stderr
        session = requests.Session()
        url = f"{self.stack.web_url}/admin/login/"
        page = session.get(url, timeout=20)
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)
        assert token, page.text
        form = {"username": STAFF["email"], "password": STAFF["password"], "csrfmiddlewaretoken": token[1]}
        assert session.post(url, form, timeout=20, allow_redirects=False).status_code == 302
        return session

    # Traps and guards

    def arm(self, point: str, purchase: Purchase, *, action: str = "kill") -> None:
        self._start_again_at_once(BY_NAME[point].process)
        armed = self._folder / "armed" / f"{point}@{purchase.key}"
        unfinished = self._folder / f".{armed.name}"
        unfinished.write_text(action)
        unfinished.rename(armed)

    def disarm(self, point: str, purchase: Purchase) -> None:
        (self._folder / "armed" / f"{point}@{purchase.key}").unlink()

    def wait_until_reached(self, point: str, purchase: Purchase) -> Left:
        """Wait until a process comes to the point; return what it left behind, or would leave if it died."""
        reached = self._folder / "reached" / f"{point}@{purchase.key}"
        wait_for(reached.exists, f"the crash at {point}")
        return Left(*json.loads(reached.read_text()))

    def release(self, point: str, purchase: Purchase) -> None:
        (self._folder / "reached" / f"{point}@{purchase.key}").unlink()

    @contextmanager
    def switched_off(self, guard: str) -> Iterator[None]:
        off = self._folder / "off" / guard
        off.touch()
        try:
            yield
        finally:
            off.unlink()

    # Time

    def make_due(self, purchase: Purchase) -> None:
        """Make the order due for its next sweep, as if that time had passed."""
        self.execute(
            "UPDATE orders_order SET sweep_after = now() WHERE checkout_key = %s AND status = 'PENDING'", purchase.key
        )

    def make_expired(self, purchase: Purchase) -> None:
        """Move the order past its deadline, and make it due."""
        self.execute(
            "UPDATE orders_order SET sweep_after = now(), expires_at = now() WHERE checkout_key = %s", purchase.key
        )

    def end_hold(self, purchase: Purchase) -> None:
        """Let the time for another card pass, if the order is held."""
        self.execute(
            """UPDATE orders_order SET sweep_after = now(), held_until = now()
               WHERE checkout_key = %s AND status = 'PENDING' AND held_until IS NOT NULL""",
            purchase.key,
        )

    def is_out_of_flight(self, purchase: Purchase) -> bool:
        """Whether the time is over of the request that somebody makes for the order's payment."""
        over = "SELECT in_flight_until < now() FROM payments_payment WHERE reference = %s"
        return bool(self.query(over, self.code_of(purchase)))

    def confirm_declined(self, purchase: Purchase) -> None:
        """Confirm the order's declined payment intents at the provider, where they were not cancelled."""
        with psycopg.connect(self.stack.environment["SANDBOX_DATABASE_URL"]) as connection:
            connection.execute(
                """UPDATE payment_intent SET status = 'succeeded', decline = NULL
                   WHERE metadata ->> 'reference' = %s AND status = 'requires_payment_method'""",
                [self.code_of(purchase)],
            )

    def make_refund_due(self, purchase: Purchase, *, late: str = "0 s") -> None:
        """Make the order's refund due for its next sweep, since so long ago, if it is not over."""
        self.execute(
            """UPDATE payments_refund SET sweep_after = now() - %s::interval
               WHERE key = 'refund-' || %s || '-1' AND sweep_after IS NOT NULL""",
            late,
            self.code_of(purchase),
        )

    def wait_until_refunded(self, purchase: Purchase) -> None:
        over = "SELECT recorded_at IS NOT NULL FROM payments_refund WHERE key = 'refund-' || %s || '-1'"
        wait_for(lambda: self.query(over, self.code_of(purchase)), f"the end of the refund of {purchase}")

    def make_overdue(self, purchase: Purchase) -> None:
        """Move the order past its deadline and its sweep by more than the audit allows."""
        self.execute(
            """UPDATE orders_order SET sweep_after = now() - interval '5 min', expires_at = now() - interval '5 min'
               WHERE checkout_key = %s""",
            purchase.key,
        )

    def make_lost(self, purchase: Purchase) -> None:
        """Let the order be past its deadline by more than the audit allows, and its next sweep far away.

        Whoever asks the provider for it has an hour's time.
        """
        self.execute(
            """UPDATE orders_order SET expires_at = now() - interval '2 days', sweep_after = now() + interval '1 day'
               WHERE checkout_key = %s""",
            purchase.key,
        )
        self.execute(
            """UPDATE payments_payment SET in_flight_until = now() + interval '1 hour'
               WHERE reference = %s AND in_flight_until IS NOT NULL""",
            self.code_of(purchase),
        )

    # What there is

    def execute(self, statement: LiteralString, *parameters: object) -> None:
        with psycopg.connect(self.stack.environment["DATABASE_URL"], autocommit=True) as connection:
            connection.execute(statement, parameters)

    def query(self, statement: LiteralString, *parameters: object) -> Any:
        """The first column of the first row."""
        with psycopg.connect(self.stack.environment["DATABASE_URL"]) as connection:
            row = connection.execute(statement, parameters).fetchone()
        return row and row[0]

    def status_of(self, purchase: Purchase) -> str | None:
        status: str | None = self.query("SELECT status FROM orders_order WHERE checkout_key = %s", purchase.key)
        return status

    def payment_of(self, purchase: Purchase) -> str | None:
        status: str | None = self.query(
            """SELECT payment.status FROM orders_order o JOIN payments_payment payment ON payment.id = payment_id
               WHERE checkout_key = %s""",
            purchase.key,
        )
        return status

    def code_of(self, purchase: Purchase) -> str:
        return str(self.query("SELECT code FROM orders_order WHERE checkout_key = %s", purchase.key))

    def wait_until_final(self, purchase: Purchase) -> None:
        wait_for(
            lambda: self.status_of(purchase) not in (None, "PENDING"),
            lambda: f"the end of {purchase}: {self.describe(purchase)}",
        )

    def describe(self, purchase: Purchase) -> Any:
        return self.query(
            """SELECT row_to_json(o)::text || row_to_json(p)::text FROM orders_order o
               JOIN payments_payment p ON p.id = o.payment_id WHERE checkout_key = %s""",
            purchase.key,
        )

    def count_charges(self, code: str) -> int:
        """Of both providers: cards that were charged, and transfers that arrived."""
        transfers = self.query("SELECT count(*) FROM payments_transfer WHERE reference = %s", code)
        with psycopg.connect(self.stack.environment["SANDBOX_DATABASE_URL"]) as connection:
            row = connection.execute(
                "SELECT count(*) FROM payment_intent WHERE metadata ->> 'reference' = %s AND status = 'succeeded'",
                [code],
            ).fetchone()
        return int(row[0]) + int(transfers) if row else 0

    def count_refunded(self, code: str) -> int:
        """How many minor units the provider has given back."""
        with psycopg.connect(self.stack.environment["SANDBOX_DATABASE_URL"]) as connection:
            row = connection.execute(
                "SELECT coalesce(sum(refunded), 0) FROM payment_intent WHERE metadata ->> 'reference' = %s", [code]
            ).fetchone()
        return int(row[0]) if row else 0

    def stock_of(self, sku: str) -> tuple[int, int]:
        """(on_hand, reserved)"""
        with psycopg.connect(self.stack.environment["DATABASE_URL"]) as connection:
            row = connection.execute(
                """SELECT on_hand, reserved FROM catalog_stock JOIN catalog_product product ON product.id = product_id
                   WHERE sku = %s""",
                [sku],
            ).fetchone()
        assert row
        return row[0], row[1]

    def audit(self) -> list[dict[str, Any]]:
        """The violations that `manage.py audit` finds."""
        report = self.stack.manage("audit", "--json")
        assert report.stdout, report.stderr
        violations: list[dict[str, Any]] = json.loads(report.stdout)["violations"]
        return violations

    def read_metrics(self) -> str:
        return requests.get(f"{self.stack.web_url}/metrics", timeout=20).text

    def wait_until_idle(self, worker: str) -> None:
        """Wait until the worker says that it has no task in hand."""
        with self.celery() as app:

            def is_idle() -> bool:
                active = app.control.inspect(timeout=1).active() or {}
                return any(name.startswith(f"{worker}@") and not tasks for name, tasks in active.items())

            wait_for(is_idle, f"{worker} to end its tasks")

    @contextmanager
    def celery(self) -> Iterator[Celery]:
        """A client of the shop's broker."""
        environment = self.stack.environment
        url = environment["BROKER_URL"] or environment["REDIS_URL"]
        broker = configure_broker(url, prefix=environment["REDIS_PREFIX"], timeout=5)
        with Celery(broker=broker.url, set_as_current=False) as app:
            app.conf.broker_transport_options = broker.options
            yield app

    def is_somebody_waiting(self) -> bool:
        """Whether a transaction waits for another one's lock."""
        return bool(
            self.query(
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
            )
        )

    # The processes

    def owns(self, name: str) -> bool:
        """Whether the stack started the process. It did not if DATABASE_URL or REDIS_URL names a server."""
        return name in [process.name for process in self.stack.supervisor.processes]

    def kill(self, name: str, sent: signal.Signals = signal.SIGKILL) -> None:
        self._start_again_at_once(name)
        self.stack.process(name).send(sent)

    def stop(self, name: str) -> tuple[int, float]:
        """Tell the process to stop, and wait for its end. Return its exit code, and how many seconds it took.

        It is started again, as after every end.
        """
        self._start_again_at_once(name)
        popen = self.stack.process(name).popen
        assert popen
        started = time.monotonic()
        popen.terminate()
        return popen.wait(PATIENCE), time.monotonic() - started

    def count_sweeps(self, purchases: Iterable[Purchase]) -> int:
        """How often a sweep, or a worker that started, has taken up one of the orders."""
        swept = """SELECT count(*) FROM orders_orderevent event JOIN orders_order o ON o.id = order_id
                   WHERE event.kind = 'swept' AND checkout_key = ANY(%s)"""
        return int(self.query(swept, [purchase.key for purchase in purchases]))

    def _start_again_at_once(self, name: str) -> None:
        # The supervisor waits longer each time a process dies soon after its start. Here it dies on purpose.
        self.stack.process(name).started_at = -1e9

    @contextmanager
    def frozen(self, name: str) -> Iterator[None]:
        """Freeze the process while the block runs."""
        process = self.stack.process(name)
        process.send(signal.SIGSTOP)
        try:
            yield
        finally:
            process.send(signal.SIGCONT)

    @contextmanager
    def running(self, process: Process) -> Iterator[None]:
        """Run one more process while the block runs."""
        try:
            self.stack.supervisor.start(process)
            yield
        finally:
            self.stack.supervisor.stop(process)

    @contextmanager
    def without(self, name: str) -> Iterator[None]:
        """Stop the process while the block runs, and start it again afterwards."""
        process = self.stack.process(name)
        self.stack.supervisor.stop(process)
        try:
            yield
        finally:
            self.stack.supervisor.start(replace(process, popen=None, restarts=0))

    def make_second(self, name: str, last_argument: str) -> Process:
        """A second process of the kind, not started. Only the last word of its command line is its own."""
        process = self.stack.process(name)
        command, log = [*process.command[:-1], last_argument], self.stack.log(f"second-{name}")
        return replace(process, name=f"second-{name}", command=command, log=log, popen=None, restarts=0)

    @contextmanager
    def in_background(self, call: Callable[[], None]) -> Iterator[None]:
        with ThreadPoolExecutor(1) as pool:
            done = pool.submit(call)
            yield
            done.result()


def accepted(answer: tuple[int, dict[str, Any]] | None) -> tuple[int, dict[str, Any]] | None:
    return answer if answer and answer[0] in (200, 201) else None
