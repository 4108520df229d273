"""Runs the examinations: each for itself, and none for longer than PATIENCE."""

from collections.abc import Iterable, Iterator
from queue import Empty, SimpleQueue
from threading import Thread

from django.db import connections

from audit.doctor import broker, database, money, processes
from audit.doctor.findings import Examination, Finding, Seen, Verdict

PATIENCE = 5.0  # seconds
EXAMINATIONS = [*database.EXAMINATIONS, *broker.EXAMINATIONS, *processes.EXAMINATIONS, *money.EXAMINATIONS]


def examine_deployment(examinations: Iterable[Examination] = EXAMINATIONS) -> Iterator[Finding]:
    """Yield what each examination finds, one after the other. A server that is away or hangs is a finding, too."""
    for examination in examinations:
        seen = examine_within(examination, seconds=PATIENCE)
        yield Finding(
            id=examination.id,
            verdict=seen.verdict,
            seen=seen.words,
            reason=examination.reason,
            remedy=examination.remedy,
        )


def examine_within(examination: Examination, *, seconds: float) -> Seen:
    """A thread that hangs at a frozen server is left behind: it ends with the command."""
    answer: SimpleQueue[Seen] = SimpleQueue()
    Thread(target=lambda: answer.put(examine_alone(examination)), name=examination.id, daemon=True).start()
    try:
        return answer.get(timeout=seconds)
    except Empty:
        return Seen(Verdict.UNKNOWN, f"no answer within {seconds:g} seconds")


def examine_alone(examination: Examination) -> Seen:
    try:
        return examination.examine()
    except Exception as error:  # whatever a server's client raises: the others are examined all the same
        return Seen(Verdict.UNKNOWN, f"{type(error).__name__}: {str(error).partition(chr(10))[0]}")
    finally:
        connections.close_all()  # this thread's
