"""Deletes old rows a batch at a time, so that nobody waits long for a lock or the log."""

from typing import Any

from django.db.models import QuerySet

BATCH = 1000  # rows in one statement


def delete_in_batches(rows: QuerySet[Any], *, order_by: str) -> None:
    """Delete these rows, each batch in a transaction of its own. A run that is killed leaves the rest to the next."""
    deleted = BATCH
    while deleted == BATCH:
        batch = rows.order_by(order_by).values("pk")[:BATCH]
        _, counts = rows.model._default_manager.filter(pk__in=batch).delete()
        deleted = counts.get(rows.model._meta.label, 0)  # without what goes with them
