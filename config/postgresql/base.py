"""Django's PostgreSQL backend, which keeps no session that can't write: see docs/adr/0015."""

from django.db.backends.postgresql import base


class DatabaseWrapper(base.DatabaseWrapper):
    """Django asks at the end of a request or task with an error, and before a session's first use in one."""

    def is_usable(self) -> bool:
        """Whether the session works and can write; a demoted primary's can't. Such a one is closed, for a pool, too."""
        if self.connection is None:
            return False
        try:
            with self.connection.cursor() as cursor:
                is_read_only = cursor.execute("SHOW transaction_read_only").fetchone() != ("off",)
        except self.Database.Error:
            return False
        if is_read_only:
            self.connection.close()
        return not is_read_only
