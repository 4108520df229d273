"""What management commands share: days and folders among their arguments, and a database that is away for now."""

from argparse import ArgumentTypeError
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.core.management.base import CommandError
from django.db import Error

from database_errors import describe, is_passing


def read_days(text: str, *, most: int, least: int = 1) -> int:
    """An argument's type, by functools.partial. Raises ArgumentTypeError."""
    if not (text.isascii() and text.isdecimal() and least <= int(text) <= most):
        raise ArgumentTypeError(f"{text!r} is not a whole number from {least} to {most}")
    return int(text)


def read_folder(text: str) -> Path:
    """An argument's type: a folder that is there. Raises ArgumentTypeError."""
    folder = Path(text)
    if not folder.is_dir():
        raise ArgumentTypeError(f"{text!r} is no folder")
    return folder


@contextmanager
def end_at_passing_errors(words: str) -> Iterator[None]:
    """Raise CommandError with these words and the database's, where a repeat cures its error. Others pass through."""
    try:
        yield
    except Error as error:
        if not is_passing(error):
            raise
        raise CommandError(f"{words}: {describe(error)}") from error
