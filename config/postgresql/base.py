"""Django's PostgreSQL backend, which keeps no session that can't write: see docs/adr/0015."""

from django.db.backends.postgresql import base


class DatabaseWrapper(base.DatabaseWrapper):
    """Django asks is_usable() before it first uses a session in a request or task, and after one that had an error."""

    def is_usable(self) -> bool:
        """Whether the session works and can write. One that can't is closed, so that a pool drops it, too."""
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
