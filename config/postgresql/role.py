"""How patient migrations are, and our role behind a pooler of transactions, where no session may ask for it itself."""

from typing import Any

from django.conf import settings
from django.db import connections
from psycopg import sql

from config.postgresql import PATIENCE

SET = "ALTER ROLE CURRENT_USER IN DATABASE {database} SET {name} = {value}"


def take_time(*, using: str, **_: Any) -> None:
    """Before a migration: it may write a large table anew. For a lock it waits no longer than others."""
    if using == settings.SESSION_DATABASE:  # or the session may be anybody's next
        with connections[using].cursor() as cursor:
            cursor.execute("SET statement_timeout = 0")


def end_taking_time(*, using: str, **_: Any) -> None:
    if using == settings.SESSION_DATABASE:
        with connections[using].cursor() as cursor:
            cursor.execute("RESET statement_timeout")


def set_patience(*, using: str, **_: Any) -> None:
    """After a migration: from its next session on, our role is as patient in this database as PATIENCE says."""
    if settings.DATABASE_POOLER == "none":
        return
    with connections[using].cursor() as cursor:
        database = sql.Identifier(str(connections[using].settings_dict["NAME"]))
        for name, value in PATIENCE.items():
            cursor.execute(sql.SQL(SET).format(database=database, name=sql.Identifier(name), value=sql.Literal(value)))
