"""Who asks the provider: a process by a name that no other has, so that its death can be seen."""

import os
import socket
from functools import cache
from pathlib import Path


@cache
def name_process() -> str:
    """Host, pid and the start of the process in clock ticks: a later process with the same pid has another name."""
    _, start = _read_process(os.getpid())
    return f"{socket.gethostname()} {os.getpid()} {start}"


os.register_at_fork(after_in_child=name_process.cache_clear)


def is_dead(process: str) -> bool:
    """Whether a process of this host, by its name, is no more. Of other hosts' processes nobody here can tell."""
    host, pid, start = process.rsplit(" ", 2)
    if host != socket.gethostname():
        return False
    try:
        state, started = _read_process(int(pid))
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state in "ZX" or started != start  # killed, and nobody has taken note of it yet; or the pid is another's


def _read_process(pid: int) -> tuple[str, str]:
    """Its state and its start in clock ticks: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html"""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return fields[0], fields[19]
