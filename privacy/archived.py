"""Reads an archived order from its file, and looks whether every archived order is in one."""

from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from orders.models import ArchivedOrder
from privacy.archive_files import ArchiveDamaged, read_archive
from privacy.records import Record


class NotArchived(Exception):
    """No order of this code was archived."""


def read_archived_order(*, code: str, folder: Path) -> Record:
    """The order's record, as it was written. Raises NotArchived, ArchiveDamaged or OSError."""
    row = ArchivedOrder.objects.filter(code=code).first()
    if row is None:
        raise NotArchived(f"No order {code} was archived.")
    found = [record for record in read_archive(folder / row.file) if record["order"]["code"] == code]
    if len(found) != 1:
        raise ArchiveDamaged(f"{folder / row.file} has the order {code} {len(found)} times.")
    return found[0]


def find_damage(folder: Path) -> Iterator[tuple[str, str]]:
    """The files that are missing or damaged, or lack an order that was archived in them; and what is wrong with each.

    One file at a time is in memory.
    """
    rows = ArchivedOrder.objects.order_by("file", "code").values_list("file", "code")
    for file, of_file in groupby(rows.iterator(), key=itemgetter(0)):
        codes = {code for _, code in of_file}
        try:
            missing = codes - {record["order"]["code"] for record in read_archive(folder / file)}
        except (ArchiveDamaged, OSError) as error:
            yield file, f"{error} Orders in it: {len(codes)}."
        else:
            if missing:
                yield file, f"Orders that it lacks: {len(missing)}, such as {min(missing)}."
