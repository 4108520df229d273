"""What a pooler of transactions keeps us from asking for at the start of a session is written down for our role."""

from typing import Any

from django.conf import settings
from django.db import connections
from psycopg import sql

from config.postgresql import PATIENCE

SET = "ALTER ROLE CURRENT_USER IN DATABASE {database} SET {name} = {value}"


def set_patience(*, using: str, **_: Any) -> None:
    """After a migration: from its next session on, our role is as patient in this database as PATIENCE says."""
    if settings.DATABASE_POOLER == "none":
        return
    with connections[using].cursor() as cursor:
        database = sql.Identifier(str(connections[using].settings_dict["NAME"]))
        for name, value in PATIENCE.items():
            cursor.execute(sql.SQL(SET).format(database=database, name=sql.Identifier(name), value=sql.Literal(value)))
