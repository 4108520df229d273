"""Django's PostgreSQL backend, which keeps no session that can't write, and how patient its connections are."""

from typing import Any

CONNECTION_OPTIONS = {
    "connect_timeout": 5,  # seconds
    # The server binds the parameters, so that it can keep the plan of a statement that it has seen so often.
    "server_side_binding": True,
    "prepare_threshold": 3,
    # A server that vanishes says nothing. Without these, Linux waits a quarter of an hour for its answer to a query, or
    # two hours if it had taken the query before.
    "tcp_user_timeout": 20_000,  # milliseconds
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 2,
}
# A lock or a statement that takes longer is a bug or a dead peer. The row is swept again, so giving up is safe.
PATIENCE = {"statement_timeout": "15s", "lock_timeout": "5s", "idle_in_transaction_session_timeout": "15s"}
POOL_OPTIONS = {
    "min_size": 0,
    "max_lifetime": 300,
    # Seconds. On a busy machine threads wait for one another. And while the database is away, the pool tries to connect
    # less and less often, so it begins anew soon.
    "timeout": 10,
    "reconnect_timeout": 5,
}
# What DATABASE_URL leads to. A pooler of transactions gives each transaction any session of its own. So nothing may be
# left in one: no timeouts asked for at its start, and no cursor. Statements may be prepared if the pooler follows them.
POOLERS = ["none", "transaction", "transaction+prepared"]


def configure_database(
    database: dict[str, Any], *, pool: int, pooler: str = "none", name: str = "orderly"
) -> dict[str, Any]:
    """Add to what the URL says how connections are kept. `pool` is how many the threads of a process share, or 0.

    `name` is how PostgreSQL lists the sessions.
    """
    options = {**database.get("OPTIONS", {}), **CONNECTION_OPTIONS, "application_name": name}
    if pooler == "none":
        options["options"] = " ".join(f"-c {name}={value}" for name, value in PATIENCE.items())
    elif pooler == "transaction":
        options["prepare_threshold"] = None
    kept = {"CONN_MAX_AGE": 300, "CONN_HEALTH_CHECKS": True}
    if pool:  # it keeps and checks them itself: see base.py
        options["pool"] = {**POOL_OPTIONS, "max_size": pool}
        kept = {"CONN_MAX_AGE": 0, "CONN_HEALTH_CHECKS": False}
    cursors = {"DISABLE_SERVER_SIDE_CURSORS": pooler != "none"}
    return {**database, **kept, **cursors, "ENGINE": "config.postgresql", "OPTIONS": options}


def configure_databases(
    database: dict[str, Any], direct: dict[str, Any] | None, *, pool: int, pooler: str, name: str = "orderly"
) -> dict[str, dict[str, Any]]:
    """Django's DATABASES: `default`, and `direct` for what needs a session of its own, where there is a pooler."""
    databases = {"default": configure_database(database, pool=pool, pooler=pooler, name=name)}
    if direct:
        databases["direct"] = {
            **configure_database(direct, pool=0, name=name),
            "CONN_MAX_AGE": 0,
            "TEST": {"MIRROR": "default"},
        }
    return databases
