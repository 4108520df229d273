"""The load generator: nobody's slow answer hides how long the others wait."""

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from lab.bench.load import Answer, UnexpectedAnswer, send_load
from lab.bench.wire import NoLength, Request

SLOW = 0.1  # seconds


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    seen: list[str] = []
    is_asked_elsewhere = threading.Event()

    def do_GET(self) -> None:
        self.seen.append(self.path)
        if self.path.startswith("/slow"):
            time.sleep(SLOW)
        if self.path == "/elsewhere":
            self.is_asked_elsewhere.set()
        if self.path == "/after-elsewhere":
            self.is_asked_elsewhere.wait(30)
        if self.path == "/closes-once" and self.seen.count(self.path) == 1:
            self.close_connection = True
            return
        self.send_response(409 if self.path == "/refused" else 201)
        if self.path != "/no-length":
            self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b"done")

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def address() -> Iterator[tuple[str, int]]:
    Handler.seen = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield "127.0.0.1", server.server_address[1]
        server.shutdown()


def ask(path: str, due: float = 0) -> Request:
    return Request(f"GET {path} HTTP/1.1\r\nHost: shop\r\n\r\n".encode(), due=due)


def test_every_request_is_answered_once_over_the_kept_connections(address: tuple[str, int]) -> None:
    ticks: list[int] = []

    outcome = send_load(
        [ask(f"/{number}") for number in range(50)] + [ask("/refused")],
        address=address,
        connections=4,
        on_tick=ticks.append,
    )

    assert outcome.count(201) == 50
    assert outcome.count(409) == 1
    assert {answer.body for answer in outcome.answers} == {b"done"}
    assert sorted(Handler.seen) == sorted([*(f"/{number}" for number in range(50)), "/refused"])
    with pytest.raises(UnexpectedAnswer, match="409"):
        outcome.require(201)
    assert ticks[0] == 0
    assert outcome.cpu > 0


def test_a_request_that_waits_for_a_connection_is_late_from_when_it_was_due(address: tuple[str, int]) -> None:
    outcome = send_load([ask("/slow/1"), ask("/slow/2"), ask("/slow/3")], address=address, connections=1)

    first, second, third = (answer.seconds for answer in outcome.answers)
    assert first >= SLOW
    assert second >= 2 * SLOW
    assert third >= 3 * SLOW
    assert outcome.quantile(0.99) == third


def test_a_request_is_not_sent_before_it_is_due_nor_after_the_time_is_over(address: tuple[str, int]) -> None:
    requests = [ask("/now"), ask("/soon", due=SLOW), *(ask("/slow", due=2 * SLOW) for _ in range(100))]

    outcome = send_load(requests, address=address, connections=1, at_most=3 * SLOW)

    assert Handler.seen[:2] == ["/now", "/soon"]
    assert min(answer.seconds for answer in outcome.answers) >= 0
    assert outcome.seconds >= 2 * SLOW
    assert 2 < len(Handler.seen) < 100


def test_a_connection_that_closes_under_a_request_is_opened_again(address: tuple[str, int]) -> None:
    outcome = send_load([ask("/first"), ask("/closes-once"), ask("/last")], address=address, connections=1)

    assert outcome.count(201) == 3
    assert Handler.seen == ["/first", "/closes-once", "/closes-once", "/last"]


def test_an_answer_without_a_length_is_an_error_at_once(address: tuple[str, int]) -> None:
    with pytest.raises(NoLength):
        send_load([ask("/no-length")], address=address, connections=1)


def test_what_follows_from_an_answer_is_sent_when_it_is_due(address: tuple[str, int]) -> None:
    def follow(answer: Answer, now: float) -> list[Request]:
        if b"/first" in answer.request.data:
            return [ask("/late", due=now + 0.3), ask("/soon", due=now + 0.1)]
        return []

    outcome = send_load(
        [ask("/first"), ask("/planned", due=0.2)], address=address, connections=1, on_answer=follow
    ).require(201)

    assert Handler.seen == ["/first", "/soon", "/planned", "/late"]
    assert len(outcome.answers) == 4


def test_a_request_with_an_address_of_its_own_waits_for_no_connection_of_the_others(address: tuple[str, int]) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        there = ("127.0.0.1", other.server_address[1])
        elsewhere = Request(ask("/elsewhere").data, address=there)

        outcome = send_load([ask("/after-elsewhere"), elsewhere], address=address, others=[there], connections=1)
        other.shutdown()

    assert [answer.request for answer in outcome.answers] == [elsewhere, ask("/after-elsewhere")]
    assert outcome.count(201) == 2
