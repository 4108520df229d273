"""Django's PostgreSQL backend, which keeps no session that can't write, and how patient its connections are."""

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
