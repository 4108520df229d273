"""The task by which beat archives old orders, a file at a time."""

from pathlib import Path

from celery import shared_task
from django.conf import settings

from privacy import archive


@shared_task
def archive_orders() -> None:
    """One batch, so that its worker soon has its other tasks again. Nothing where the settings ask for nothing."""
    if settings.ORDER_DAYS and settings.ARCHIVE_DIR:
        archive.archive_orders(days=settings.ORDER_DAYS, folder=Path(settings.ARCHIVE_DIR))
