"""Whether beat and every worker are at work, and run the same code as this command."""

from celery import current_app
from django.conf import settings

from audit.database import read_rows
from audit.doctor.findings import Examination, Seen, Verdict, judge
from audit.liveness import check_liveness, find_late_ticks, find_skews
from audit.models import Tick

ANSWER_WITHIN = 2.0  # seconds
SESSIONS = """
SELECT split_part(application_name, ' ', 2), count(*) FROM pg_stat_activity
WHERE datname = current_database() AND application_name LIKE 'orderly %' GROUP BY 1
"""


def examine_ticks() -> Seen:
    late = find_late_ticks(liveness := check_liveness())
    return judge(not late, " ".join(late) or f"{len(liveness.ticks)} scheduled tasks end in time")


def examine_workers() -> Seen:
    """Ask all workers what they read. One that runs as many tasks as it can does not answer, so this only warns."""
    answers = current_app.control.inspect(timeout=ANSWER_WITHIN).active_queues() or {}
    read = {queue["name"] for queues in answers.values() for queue in queues}
    unread = sorted({queue.name for queue in current_app.conf.task_queues} - read)
    words = f"{', '.join(sorted(answers)) or 'nobody'} answered"
    if unread:
        words += f"; no answer from who reads {', '.join(unread)}"
    return judge(not unread, words, otherwise=Verdict.WARNING)


def examine_versions() -> Seen:
    """Sessions tell of web servers and workers. The newest tick tells of the beat that has asked for it."""
    running = [(version, f"{count} of the shop's sessions") for version, count in read_rows(SESSIONS)]
    newest = Tick.objects.exclude(version="").order_by("-ended_at").first()
    if newest:
        running.append((newest.version, "beat"))
    others = [f"{words} of {version}" for version, words in running if version != settings.VERSION]
    seen = f"{'; '.join(others)}; here is {settings.VERSION}" if others else f"all of {settings.VERSION}"
    return judge(not others, seen, otherwise=Verdict.WARNING)


def examine_clocks() -> Seen:
    ahead = find_skews(liveness := check_liveness())
    furthest = max(map(abs, liveness.clock_skews.values()), default=0.0)
    return judge(not ahead, " ".join(ahead) or f"at most {furthest:.1f} seconds off", otherwise=Verdict.WARNING)


EXAMINATIONS = [
    Examination(
        id="processes.ticks",
        reason="Without beat and its workers nobody sweeps: an order whose message is lost never ends.",
        remedy="start beat and the workers; their logs say why they ended",
        examine=examine_ticks,
    ),
    Examination(
        id="processes.workers",
        reason="A queue that nobody reads grows: orders are not charged, not ended or not mailed.",
        remedy="start a worker with `--queues` as in docs/deploy.md",
        examine=examine_workers,
    ),
    Examination(
        id="processes.versions",
        reason="Old code writes and publishes what the new code may no longer know. During a deployment it passes.",
        remedy="start the processes again that were forgotten, and deploy to all machines",
        examine=examine_versions,
    ),
    Examination(
        id="processes.clocks",
        reason="A worker whose clock is ahead drops messages as expired.",
        remedy="let its machine and the database's follow the same time server",
        examine=examine_clocks,
    ),
]
