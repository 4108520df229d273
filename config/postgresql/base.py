"""Django's PostgreSQL backend, which keeps no session that can't write: see docs/adr/0015."""

import time
from select import POLLIN, poll
from typing import Any, ClassVar

from django.db.backends.postgresql import base


class DatabaseWrapper(base.DatabaseWrapper):
    """Django asks at the end of a request or task with an error, and before a session's first use in a request.

    A pool's session is asked when it is taken, but at most once a second: Django takes it for a new one each time.
    """

    trust: ClassVar[float] = 1.0  # seconds that a pool's session counts as good once it was asked
    distrusted_at: ClassVar[float] = 0.0  # when a session was found useless: the process's others may be, too

    def is_usable(self) -> bool:
        """Whether the session works and can write. One that can't is closed, so that a pool drops it, too."""
        if self.connection is None:
            return False
        is_usable = self._can_write(self.connection)
        if not is_usable:
            self.connection.close()
        return is_usable

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """A new session, as it is; or one of the pool that works and can write."""
        began = time.monotonic()
        session = super().get_new_connection(conn_params)
        # One that was opened since is not asked: on a database that is read-only there would be no end to new ones.
        while self.pool and session.opened_at < began and not self._is_trusted(session):
            session.close()
            self.pool.putconn(session)
            session = super().get_new_connection(conn_params)
        return session

    def _is_trusted(self, session: Any) -> bool:
        now = time.monotonic()
        if session.asked_at > max(self.distrusted_at, now - self.trust) and not has_news(session):
            return True
        session.asked_at, session.autocommit = now, True  # or the question would begin a transaction
        return self._can_write(session)

    def _can_write(self, session: Any) -> bool:
        try:
            with session.cursor() as cursor:
                can_write = bool(cursor.execute("SHOW transaction_read_only").fetchone() == ("off",))
        except self.Database.Error:
            can_write = False
        if not can_write:
            DatabaseWrapper.distrusted_at = time.monotonic()
        return can_write

    def _configure_connection(self, connection: Any) -> bool:
        connection.opened_at, connection.asked_at = time.monotonic(), 0.0  # it is asked before its second use
        return bool(super()._configure_connection(connection))  # type: ignore[misc]  # the stubs do not know it


def has_news(session: Any) -> bool:
    """Whether the server has sent something to an idle session: mostly that it has ended it. Costs no round trip."""
    poller = poll()
    poller.register(session.fileno(), POLLIN)
    return bool(poller.poll(0))
