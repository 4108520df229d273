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
    # A lock or a statement that takes longer is a bug or a dead peer. The row is swept again, so giving up is safe.
    "options": "-c statement_timeout=15s -c lock_timeout=5s -c idle_in_transaction_session_timeout=15s",
}
POOL_OPTIONS = {
    "min_size": 0,
    "max_lifetime": 300,
    # Seconds. On a busy machine threads wait for one another. And while the database is away, the pool tries to connect
    # less and less often, so it begins anew soon.
    "timeout": 10,
    "reconnect_timeout": 5,
}


def configure_database(database: dict[str, Any], *, pool: int) -> dict[str, Any]:
    """Add to what the URL says how connections are kept. `pool` is how many the threads of a process share, or 0."""
    options = {**database.get("OPTIONS", {}), **CONNECTION_OPTIONS}
    kept = {"CONN_MAX_AGE": 300, "CONN_HEALTH_CHECKS": True}
    if pool:  # it keeps and checks them itself: see base.py
        options["pool"] = {**POOL_OPTIONS, "max_size": pool}
        kept = {"CONN_MAX_AGE": 0, "CONN_HEALTH_CHECKS": False}
    return {**database, **kept, "ENGINE": "config.postgresql", "OPTIONS": options}
