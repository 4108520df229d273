"""What an examination is, and what it finds."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class Verdict(StrEnum):
    OK = "ok"
    WARNING = "warning"
    ERROR = "error"
    UNKNOWN = "unknown"  # it could not be examined


class Seen(NamedTuple):
    """What an examination saw, in one line. It never has a password in it."""

    verdict: Verdict
    words: str


@dataclass(frozen=True, kw_only=True)
class Examination:
    """A question to the deployment. `id` never changes; what stands before its dot is the subject."""

    id: str
    reason: str  # why it matters
    remedy: str  # the setting that mends it, or what to do
    examine: Callable[[], Seen]  # raises what its server's client raises


@dataclass(frozen=True, kw_only=True)
class Finding:
    id: str
    verdict: Verdict
    seen: str
    reason: str
    remedy: str


def judge(is_sound: bool, words: str, *, otherwise: Verdict = Verdict.ERROR) -> Seen:
    return Seen(Verdict.OK if is_sound else otherwise, words)
