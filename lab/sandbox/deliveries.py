"""Sends events to the shop, signed as Stripe signs them, and again until it says that it has them."""

import hashlib
import hmac
import logging
import os
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

import psycopg

from lab.sandbox.database import Connection, Database, Row
from lab.sandbox.events import WEBHOOK_URL
from lab.sandbox.faults import read_control
from lab.sandbox.intents import finish_processing
from lab.sandbox.refunds import finish_refunds

log = logging.getLogger("lab.sandbox")

SECRET = os.environ.get("SANDBOX_WEBHOOK_SECRET", "")
LATE_SECONDS = float(os.environ.get("SANDBOX_WEBHOOK_LATE_SECONDS", "5"))
LOOK_EVERY = 0.1  # seconds; then come events that were written since
TIMEOUT = 10  # seconds that the shop has to answer
SENDERS = 4  # deliveries at the same time

# The pauses grow as Stripe's do, but much sooner: nobody here waits for hours.
CLAIM = """
UPDATE event SET tries = tries + 1, send_after = now() + least(0.5 * 2 ^ least(tries, 10), 15) * interval '1 second'
WHERE number IN (
    SELECT number FROM event
    WHERE send_after <= now() AND created <= now() - %(late)s * interval '1 second' AND random() < %(part)s
    ORDER BY number LIMIT 100
)
RETURNING number, id, body
"""
DROP = "UPDATE event SET send_after = NULL WHERE send_after <= now()"
DELIVERED = "UPDATE event SET send_after = NULL WHERE number = ANY(%s)"


def start_deliveries(database: Database) -> None:
    """Deliver from now on, in threads that end with the process."""
    threading.Thread(target=deliver_for_ever, args=[database], name="deliveries", daemon=True).start()


def deliver_for_ever(database: Database) -> None:
    with ThreadPoolExecutor(SENDERS) as pool:
        while True:
            try:
                deliver_due_events(database, pool)
            except psycopg.Error:
                log.exception("the database failed; events are sent later")
            time.sleep(LOOK_EVERY)


def deliver_due_events(database: Database, pool: ThreadPoolExecutor) -> None:
    with database.connection() as connection:
        finish_processing(connection)  # or a bank's answer would be told only to who asks for it
        finish_refunds(connection)
        events = claim_events(connection, read_control(connection)["webhooks"])
    delivered = [event["number"] for event, is_taken in zip(events, pool.map(send, events), strict=True) if is_taken]
    if delivered:
        with database.connection() as connection:
            connection.execute(DELIVERED, [delivered])


def claim_events(connection: Connection, faults: list[str]) -> list[Row]:
    """The events whose turn it is; as the faults want it none, or not yet, or in any order, or each of them twice."""
    if "never" in faults:
        connection.execute(DROP)
        return []
    late, part = LATE_SECONDS if "late" in faults else 0, 0.3 if "shuffled" in faults else 1
    events = connection.execute(CLAIM, {"late": late, "part": part}).fetchall()
    if "twice" in faults:
        events += events
    if "shuffled" in faults:
        random.shuffle(events)
    return events


def send(event: Row) -> bool:
    """Whether the shop has taken it."""
    url, body = urlsplit(WEBHOOK_URL), event["body"].encode()
    connection = HTTPConnection(url.hostname or "", url.port, timeout=TIMEOUT)
    try:
        headers = {"Content-Type": "application/json; charset=utf-8", "Stripe-Signature": sign(body)}
        connection.request("POST", url.path, body, headers)
        status = connection.getresponse().status
    except (OSError, HTTPException) as error:
        log.info("event %s is not taken: %r", event["id"], error)
        return False
    finally:
        connection.close()
    return 200 <= status < 300


def sign(body: bytes) -> str:
    """https://docs.stripe.com/webhooks#verify-manually"""
    now = int(time.time())
    return f"t={now},v1={hmac.new(SECRET.encode(), b'%d.%s' % (now, body), hashlib.sha256).hexdigest()}"
