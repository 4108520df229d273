"""Opens text that a spreadsheet or an editor wrote, and finds out its encoding and its delimiter."""

import io
from codecs import BOM_UTF16_BE, BOM_UTF16_LE, BOM_UTF32_BE, BOM_UTF32_LE
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import BinaryIO, TextIO

DELIMITERS = ",;\t"  # a semicolon if the comma is the decimal sign; a tab in Excel's "Unicode text"
UTF32 = (BOM_UTF32_LE, BOM_UTF32_BE)  # compared before UTF-16, whose mark begins with the same two bytes
UTF16 = (BOM_UTF16_LE, BOM_UTF16_BE)


class TextUnreadable(Exception):
    """The file is not in an encoding that we read. `line` is the first line that isn't. The text is for people."""

    def __init__(self, line: int) -> None:
        super().__init__("neither UTF-8 nor UTF-16 with a byte order mark: save it as CSV UTF-8")
        self.line = line


def open_text(file: BinaryIO | io.BufferedIOBase, *, newline: str = "") -> TextIO:
    """Open the file as text: UTF-8 with or without a byte order mark, or UTF-16 with one. Line ends stay as they are.

    Bytes that don't fit become lone surrogates (see surrogateescape). No other encoding is guessed: nobody can tell
    Windows-1252 from its neighbours, and after a wrong guess a product would have a wrong name. Closing the text closes
    the file. Raises TextUnreadable.
    """
    buffered = io.BufferedReader(file)  # type: ignore[type-var]  # an upload, or an .xz file, is read in the same way
    start = buffered.peek(4)[:4]
    if start.startswith(UTF32) or (b"\0" in start and not start.startswith(UTF16)):
        raise TextUnreadable(1)
    encoding = "utf-16" if start.startswith(UTF16) else "utf-8-sig"
    return io.TextIOWrapper(buffered, encoding=encoding, errors="surrogateescape", newline=newline)


def read_text(file: BinaryIO) -> Iterator[str]:
    """Yield the lines of the file with their ends, as open_text reads them. Raises TextUnreadable at a bad line."""
    line = 1
    try:
        with open_text(file) as lines:
            for text in lines:
                text.encode()
                yield text
                line += 1
    except UnicodeError as error:
        raise TextUnreadable(line) from error


def find_delimiter(lines: Iterable[str]) -> tuple[str, Iterator[str]]:
    """Return the most frequent delimiter of the first line that has any text, and all of the lines."""
    rest = iter(lines)
    begun: list[str] = []
    for line in rest:
        begun.append(line)
        if line.strip():
            break
    return max(DELIMITERS, key="".join(begun).count), chain(begun, rest)


def trim_row(cells: list[str], *, columns: int) -> list[str]:
    """Return the cells without the empty ones that a spreadsheet writes beyond the last column."""
    end = len(cells)
    while end > columns and not cells[end - 1].strip():
        end -= 1
    return cells[:end]
