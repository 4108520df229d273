"""What management commands share: days and folders among their arguments, and errors that pass."""

from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings
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


def add_folder(parser: ArgumentParser, option: str, *, setting: str) -> None:
    """Add an option that names a folder, as `folder`. It may be left out where the setting names one."""
    default = getattr(settings, setting) or None
    parser.add_argument(
        option,
        dest="folder",
        type=read_folder,
        default=default,
        required=not default,
        metavar="DIR",
        help=f"Default: {setting}.",
    )


@contextmanager
def end_at_passing_errors(words: str, *, also: tuple[type[Exception], ...] = (), returncode: int = 1) -> Iterator[None]:
    """Raise CommandError with these words and the error's, where a repeat may succeed. Others pass through.

    A repeat may succeed after a passing error of the database, and after those that `also` names.
    """
    try:
        yield
    except Exception as error:
        if not (isinstance(error, also) or (isinstance(error, Error) and is_passing(error))):
            raise
        raise CommandError(f"{words}: {describe(error)}", returncode=returncode) from error
