"""Whether PostgreSQL keeps what it has answered, and has room for the shop's sessions."""

from django.conf import settings

from audit.database import count_sessions, find_unapplied_migrations, read_rows
from audit.doctor.findings import Examination, Seen, Verdict, judge
from audit.ticks import measure_clock_skew

FULL = 0.8  # of the sessions that PostgreSQL allows

STANDBYS = "SELECT application_name, state, sync_state FROM pg_stat_replication ORDER BY application_name"
OURS = """
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'orderly %'
"""


def read_setting(name: str) -> str:
    """As the shop's own sessions have it: a role or a database may have another value than the server."""
    ((value,),) = read_rows(f"SHOW {name}")
    return str(value)


def examine_fsync() -> Seen:
    return judge((value := read_setting("fsync")) == "on", value)


def examine_full_page_writes() -> Seen:
    return judge((value := read_setting("full_page_writes")) == "on", value)


def examine_synchronous_commit() -> Seen:
    """`local` and `remote_write` don't wait for the standby's disk; without a standby they are as good as `on`."""
    value, names = read_setting("synchronous_commit"), read_setting("synchronous_standby_names")
    if value == "off":
        return Seen(Verdict.ERROR, value)
    if names and value in ("local", "remote_write"):
        return Seen(Verdict.WARNING, f"{value}, though synchronous_standby_names is {names}")
    return Seen(Verdict.OK, value)


def examine_standby_names() -> Seen:
    """One server alone is sound, as docs/deploy.md has it. A standby that nobody waits for is not."""
    names, standbys = read_setting("synchronous_standby_names"), read_rows(STANDBYS)
    if names:
        return Seen(Verdict.OK, names)
    if standbys or "," in settings.DATABASES["default"]["HOST"]:
        return Seen(Verdict.ERROR, "empty, though there is a standby")
    return Seen(Verdict.OK, "empty, and there is no standby: this server's disk keeps everything")


def examine_standby() -> Seen:
    names, standbys = read_setting("synchronous_standby_names"), read_rows(STANDBYS)
    if not names:
        return Seen(Verdict.OK, "no standby is waited for")
    if any(state is None for _, state, _ in standbys):
        return Seen(Verdict.UNKNOWN, "this role may not see the standbys: GRANT pg_monitor TO it")
    followers = [f"{name} ({state}, {sync})" for name, state, sync in standbys]
    sound = any(state == "streaming" and sync in ("sync", "quorum") for _, state, sync in standbys)
    return judge(sound, ", ".join(followers) or f"none of {names} is connected")


def examine_sessions() -> Seen:
    (used, most), ((ours,),) = count_sessions(), read_rows(OURS)
    words = f"{used} of {most} are open, {ours} of them the shop's"
    return judge(used < FULL * most, words, otherwise=Verdict.WARNING)


def examine_clock() -> Seen:
    skew = measure_clock_skew()
    verdict = Verdict.ERROR if abs(skew) > settings.CLOCK_SKEW else Verdict.WARNING
    return judge(abs(skew) <= settings.CLOCK_SKEW / 2, f"{skew:+.1f} seconds", otherwise=verdict)


def examine_migrations() -> Seen:
    missing = find_unapplied_migrations()
    words = f"{len(missing)} are not applied, the first is {missing[0]}" if missing else "all are applied"
    return judge(not missing, words)


EXAMINATIONS = [
    Examination(
        id="database.fsync",
        reason="Without it PostgreSQL answers before a commit is on disk: a machine that dies takes paid orders along.",
        remedy="`fsync = on` in postgresql.conf",
        examine=examine_fsync,
    ),
    Examination(
        id="database.full_page_writes",
        reason="A page that was half written when the machine died can't be read any more.",
        remedy="`full_page_writes = on` in postgresql.conf",
        examine=examine_full_page_writes,
    ),
    Examination(
        id="database.synchronous_commit",
        reason="A commit is answered before it is safe: a charge may be made for a payment that nobody remembers.",
        remedy="`synchronous_commit = on`, for the server, the role and the database",
        examine=examine_synchronous_commit,
    ),
    Examination(
        id="database.standby_names",
        reason="A standby that no commit waits for lacks the newest orders when it takes over.",
        remedy="`synchronous_standby_names`, such as `ANY 1 (one, two)`",
        examine=examine_standby_names,
    ),
    Examination(
        id="database.standby",
        reason="While no synchronous standby follows, every commit waits, and the shop with it.",
        remedy="start the standby; its `application_name` is one of `synchronous_standby_names`",
        examine=examine_standby,
    ),
    Examination(
        id="database.sessions",
        reason="A process that gets no session can neither take an order nor end one.",
        remedy="`DATABASE_POOL` smaller, PgBouncer in front, or `max_connections` larger",
        examine=examine_sessions,
    ),
    Examination(
        id="database.clock",
        reason="A message expires by its receiver's clock, so a worker whose clock is ahead drops every tick.",
        remedy="let this machine and the database's follow the same time server",
        examine=examine_clock,
    ),
    Examination(
        id="database.migrations",
        reason="The code writes columns that the database has not.",
        remedy="`manage.py migrate`",
        examine=examine_migrations,
    ),
]
