"""What processes cost: the CPU time and the memory of each with all that it started, read from /proc."""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

SECOND = os.sysconf("SC_CLK_TCK")
# Not what processes have made in order to share it: each of PostgreSQL's would count its buffers again.
OWN = re.compile(r"^Rss(?:Anon|File):\s+(\d+) kB$", re.MULTILINE)


@dataclass(frozen=True)
class Usage:
    """Of one process: its parent, the CPU seconds of itself and of its children that ended."""

    parent: int
    cpu: float


def read_usage() -> dict[int, Usage]:
    """Of every process there is, by pid."""
    return {int(path.parent.name): usage for path in Path("/proc").glob("[0-9]*/stat") for usage in _parse(path)}


def _parse(path: Path) -> Iterator[Usage]:
    with suppress(FileNotFoundError, ProcessLookupError):  # it has ended
        fields = path.read_text().rpartition(")")[2].split()
        # utime, stime, cutime and cstime: PostgreSQL's backends come and go, and their parent inherits their time.
        yield Usage(int(fields[1]), sum(map(int, fields[11:15])) / SECOND)


def find_family(pid: int, usage: Mapping[int, Usage]) -> list[int]:
    """The process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for child, of_child in usage.items():
        children.setdefault(of_child.parent, []).append(child)
    family = [pid] if pid in usage else []
    for member in family:
        family += children.get(member, [])
    return family


def measure_cpu(pids: Mapping[str, int]) -> dict[str, float]:
    """CPU seconds so far, by name, of the process and all that it started."""
    usage = read_usage()
    return {name: sum(usage[member].cpu for member in find_family(pid, usage)) for name, pid in pids.items()}


def measure_memory(pids: Mapping[str, int]) -> dict[str, float]:
    """MB, by name, of the largest single process among it and those that it started."""
    usage = read_usage()
    return {
        name: max((read_memory(member) for member in find_family(pid, usage)), default=0.0)
        for name, pid in pids.items()
    }


def read_memory(pid: int) -> float:
    """MB of its own and of the files that it has loaded; 0 if it has ended."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return sum(map(int, OWN.findall(Path(f"/proc/{pid}/status").read_text()))) / 1024
    return 0.0
