"""What PostgreSQL says of itself, and of the migrations that it has."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from django.db import connection
from django.db.migrations.executor import MigrationExecutor

# Of three limits the nearest: the server's (some sessions are kept for superusers), and those of the role and of the
# database, where they have any (-1: none). A role that may not see the sessions of others sees that they are there,
# without their `backend_type`. The server's own processes have no user.
SESSIONS = """
WITH session AS (
    SELECT usename, datname FROM pg_stat_activity
    WHERE usesysid IS NOT NULL AND coalesce(backend_type, 'client backend') = 'client backend'
)
SELECT used, most FROM (VALUES
    ((SELECT count(*) FROM session),
     (SELECT setting::int FROM pg_settings WHERE name = 'max_connections')
        - (SELECT sum(setting::int) FROM pg_settings
           WHERE name IN ('superuser_reserved_connections', 'reserved_connections'))),
    ((SELECT count(*) FROM session WHERE usename = current_user),
     (SELECT nullif(rolconnlimit, -1) FROM pg_roles WHERE rolname = current_user)),
    ((SELECT count(*) FROM session WHERE datname = current_database()),
     (SELECT nullif(datconnlimit, -1) FROM pg_database WHERE datname = current_database()))
) AS limits (used, most)
WHERE most > 0 ORDER BY used::float8 / most DESC LIMIT 1
"""


class Sessions(NamedTuple):
    used: int
    most: int


def read_rows(statement: str, parameters: Sequence[float | str] = ()) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters or None)
        return list(cursor.fetchall())


def count_sessions() -> Sessions:
    """How many sessions are open and how many may be, by the limit that the shop will reach first."""
    ((used, most),) = read_rows(SESSIONS)
    return Sessions(used, most)


def find_unapplied_migrations() -> list[str]:
    """The migrations of this code that the database lacks, in the order in which they would be applied."""
    executor = MigrationExecutor(connection)
    return [str(migration) for migration, _ in executor.migration_plan(executor.loader.graph.leaf_nodes())]
