"""Stripe's rules for idempotency keys: a request runs once, its answer is saved with what it did, and is replayed."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from psycopg.errors import UniqueViolation
from psycopg.types.json import Jsonb

from lab.sandbox.database import Connection, Database
from lab.sandbox.faults import HANG_SECONDS, Behaviour, Control, choose_behaviour
from lab.sandbox.messages import Answer, InvalidRequest, Request, refuse

Endpoint = Callable[[Connection, Request, Behaviour], Answer]

SERVER_ERROR = refuse(500, "api_error", "An unknown error occurred")

in_flight: dict[str, Request] = {}  # in memory, so a key is never left locked by a process that died
in_flight_lock = threading.Lock()


class AnswerLost(Exception):
    """The request was executed; its answer shall not reach the client."""


def run_once(database: Database, request: Request, endpoint: Endpoint, control: Control) -> Answer:
    """Execute a POST, or replay what was answered to its key: https://docs.stripe.com/api/idempotent_requests

    What the endpoint does and the saved answer are one transaction. Whatever it returns is saved, a 500 too; an
    InvalidRequest undoes everything and leaves the key free. Raises AnswerLost.
    """
    with occupied_key(request):
        with database.connection() as connection:
            if saved := find_answer(connection, request):
                return saved
            behaviour = choose_behaviour(connection, request, control)
        time.sleep(behaviour.delay)
        with database.connection() as connection, connection.transaction():
            answer = execute(connection, request, endpoint, behaviour)
            save_answer(connection, request, answer)
    # The key is no longer in flight: a repeat is answered, only this one client waits in vain.
    if behaviour.trouble in ("drop", "hang"):
        time.sleep(HANG_SECONDS if behaviour.trouble == "hang" else 0)
        raise AnswerLost
    return replace(answer, trickles=behaviour.trouble == "trickle")


@contextmanager
def occupied_key(request: Request) -> Iterator[None]:
    if request.key is None:
        yield
        return
    with in_flight_lock:
        running = in_flight.setdefault(request.key, request)
    if running is not request:
        raise other_parameters() if running != request else key_in_use()
    try:
        yield
    finally:
        del in_flight[request.key]


def execute(connection: Connection, request: Request, endpoint: Endpoint, behaviour: Behaviour) -> Answer:
    if behaviour.trouble == "500_before":
        return SERVER_ERROR
    answer = endpoint(connection, request, behaviour)
    return SERVER_ERROR if behaviour.trouble == "500_after" else answer


def find_answer(connection: Connection, request: Request) -> Answer | None:
    saved = connection.execute("SELECT * FROM saved_answer WHERE key = %s", [request.key]).fetchone()
    if saved is None:
        return None
    if (saved["path"], saved["params"]) != (request.path, request.params):
        raise other_parameters()
    return Answer(status=saved["status"], body=saved["body"], replayed=True)


def save_answer(connection: Connection, request: Request, answer: Answer) -> None:
    if request.key is None:
        return
    try:
        connection.execute(
            "INSERT INTO saved_answer (key, path, params, status, body) VALUES (%s, %s, %s, %s, %s)",
            [request.key, request.path, Jsonb(request.params), answer.status, answer.body],
        )
    except UniqueViolation:
        # A process that was killed had its transaction still on the way; what this one did is undone.
        raise key_in_use() from None


def other_parameters() -> InvalidRequest:
    message = "Keys for idempotent requests can only be used with the same parameters they were first used with."
    return InvalidRequest(400, "idempotency_error", message)


def key_in_use() -> InvalidRequest:
    message = "There is currently another in-progress request using this Idempotent Key."
    return InvalidRequest(409, "idempotency_error", message, code="idempotency_key_in_use")
