"""Runs the programs of PostgreSQL and of the system, says how far they are, and what to do when they fail."""

import os
import re
import shutil
import subprocess
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from pwd import getpwnam
from typing import IO, Any

Tell = Callable[[str], object]  # how far a restore is, for whoever waits for it
NO_ENVIRONMENT: Mapping[str, str] = {}

KEPT_LINES = 10  # of what a program said before it failed
PROGRESS = re.compile(r'processing data for table "(.+)"|^(COPY \d+)$')
TROUBLE = re.compile(r"error|fatal|could not|cannot|can't|no space", re.IGNORECASE)
ADVICE = {
    r"No space left on device": "The disk is full. Free some of it, or run the drill on another server.",
    r"unsupported version|invalid command \\": "A newer pg_dump wrote it: put the programs of that version on PATH.",
    r"unrecognized configuration parameter": "It is of a newer PostgreSQL than the server. Restore it on that version.",
    r"permission denied to create database": "Let the role do it, as a superuser: ALTER ROLE ... CREATEDB.",
    r'role ".+" does not exist': "Make the dump with --no-owner --no-privileges, or restore it where the role is.",
    r'database ".+" does not exist': "DATABASE_URL names the database that is looked for in the backup.",
    r"could not locate a valid checkpoint|could not locate required": "The log (pg_wal) is missing from the backup.",
}


class RestoreFailed(Exception):
    """Nothing was found out. The text says why, and what to do where that is known. It has no password in it."""


def find_program(name: str) -> str:
    """Its path. Raises RestoreFailed."""
    if path := shutil.which(name):
        return path
    where = "Debian keeps the server's programs in /usr/lib/postgresql/VERSION/bin."
    raise RestoreFailed(f"{name} is not on PATH: install PostgreSQL's programs, or add their folder to PATH. {where}")


def run_program(
    name: str,
    *arguments: str | Path,
    tell: Tell,
    environment: Mapping[str, str] = NO_ENVIRONMENT,
    source: IO[bytes] | None = None,
    user: str = "",
) -> None:
    """Run it to its end, `source` as its input, and tell how far it is. `user` is whom root becomes for it.

    Everybody can read its arguments, so a password belongs into the environment. Raises RestoreFailed.
    """
    process = subprocess.Popen(
        [find_program(name), *map(str, arguments)],
        env={**os.environ, "LC_ALL": "C", **environment},
        stdin=source or subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        **_become(user),
    )
    with process:
        try:
            said = listen(process, tell)
        except BaseException:  # we are to end, and would wait for it
            process.kill()
            raise
    if process.returncode:
        raise RestoreFailed("\n".join([f"{name} failed.", *said, *find_advice("\n".join(said))]))


def listen(process: "subprocess.Popen[str]", tell: Tell) -> Sequence[str]:
    """Tell how far it is, until it ends. Return the last of what it said that went wrong."""
    said: deque[str] = deque(maxlen=KEPT_LINES)
    for line in process.stdout or ():
        if progress := PROGRESS.search(line):
            tell(f"  {progress[1] or progress[2]}")
        elif TROUBLE.search(line):
            said.append(line.strip())
    return said


def _become(user: str) -> dict[str, Any]:
    return {"user": user, "group": getpwnam(user).pw_gid, "extra_groups": [], "cwd": "/"} if user else {}


def read_program(name: str, *arguments: str | Path) -> str:
    """What it says. Raises RestoreFailed."""
    done = subprocess.run(
        [find_program(name), *map(str, arguments)], capture_output=True, text=True, errors="replace", check=False
    )
    if done.returncode:
        raise RestoreFailed("\n".join([f"{name} failed.", done.stderr.strip(), *find_advice(done.stderr)]))
    return done.stdout


def find_advice(trouble: str) -> Sequence[str]:
    """What to do about it, as far as that is known."""
    return [advice for pattern, advice in ADVICE.items() if re.search(pattern, trouble)]


def describe(error: Exception) -> str:
    """What the database said, and what to do about it."""
    return "\n".join([str(error).strip(), *find_advice(str(error))])
