"""Saves a table in every way in which spreadsheets do, since the importers must read all of them."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO


@dataclass(frozen=True)
class Format:
    words: str
    encoding: str
    delimiter: str
    line_end: str = "\r\n"
    empty_columns: int = 0
    empty_rows: int = 0


FORMATS = [
    Format("CSV UTF-8", "utf-8-sig", ","),
    Format("CSV UTF-8 of a locale with decimal commas", "utf-8-sig", ";"),
    Format("Unicode text", "utf-16", "\t"),
    Format("LibreOffice", "utf-8", ",", "\n"),
    Format("LibreOffice with semicolons in UTF-16", "utf-16", ";", "\n"),
    Format("a table that was larger once", "utf-8-sig", ";", empty_columns=2, empty_rows=3),
    Format("the same in Unicode text", "utf-16", "\t", empty_columns=1, empty_rows=1),
]


def save_table(rows: Sequence[Sequence[str]], how: Format) -> bytes:
    text = StringIO()
    write = csv.writer(text, delimiter=how.delimiter, lineterminator=how.line_end).writerow
    for row in rows:
        write([*row, *[""] * how.empty_columns])
    for _ in range(how.empty_rows):
        write([""] * (len(rows[0]) + how.empty_columns))
    return text.getvalue().encode(how.encoding)
