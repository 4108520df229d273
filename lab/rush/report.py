"""What a rush was like, in figures."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence

from lab.bench.figures import quantile
from lab.rush.crowd import OTHER, Crowd

SLOW = 0.05  # seconds


def describe_rush(crowd: Crowd, *, let_in: Mapping[str, float], took: float, confirmed: int) -> dict[str, object]:
    """`let_in` says when each visitor was seen to be inside. `ok` is whether there was no error, and all was sold."""
    polls = [pause for visitor in crowd.visitors for pause in visitor.pauses]
    waiting = crowd.seconds["waiting page"] + crowd.seconds["waiting"]
    times = [when for when, kind in crowd.answered if kind in ("waiting page", "waiting")]
    return {
        "ends": dict(Counter(visitor.end for visitor in crowd.visitors)),
        "troubles": dict(crowd.troubles.most_common(5)),
        "confirmed": confirmed,
        "seconds": round(took, 1),
        "last unit bought after": round(max(crowd.bought, default=0), 1),
        "last visitor told after": round(max(crowd.told, default=0), 1),
        "waiting pages": len(waiting),
        "waiting pages a second": round(len(waiting) / took, 1) if took else 0,
        "waiting pages a second, at most": max(count_by_second(times).values(), default=0),
        "waiting page p50, ms": to_milliseconds(waiting, 0.5),
        "waiting page p99, ms": to_milliseconds(waiting, 0.99),
        "waiting pages over 50 ms, %": round(
            100 * sum(seconds > SLOW for seconds in waiting) / max(len(waiting), 1), 2
        ),
        "simulator late p99, ms": to_milliseconds(crowd.late, 0.99),
        "pause before a question, median s": quantile(polls, 0.5) if polls else 0,
        "pause before a question, longest s": max(polls, default=0),
        "let in": len(let_in),
        "served out of order by, s": round(find_disorder(crowd.arrived, let_in), 2),
        "other pages": len(crowd.seconds[OTHER]),
        "other page p50, ms": to_milliseconds(crowd.seconds[OTHER], 0.5),
        "other page p99, ms": to_milliseconds(crowd.seconds[OTHER], 0.99),
        "order p50, ms": to_milliseconds(crowd.seconds["buy"], 0.5),
        "load average": round(os.getloadavg()[0], 1),
        "ok": not crowd.troubles and crowd.is_over and confirmed == len(crowd.bought),
    }


def count_by_second(times: Sequence[float]) -> Counter[int]:
    return Counter(int(when) for when in times)


def find_disorder(arrived: Mapping[str, float], let_in: Mapping[str, float]) -> float:
    """By how many seconds at most somebody was let in before another who had arrived earlier."""
    worst = latest = 0.0
    batch: list[float] = []
    last = None
    for name, when in sorted(let_in.items(), key=lambda item: item[1]):
        if when != last:  # those of one look are one batch: nobody was before another
            latest, batch, last = max([latest, *batch]), [], when
        worst = max(worst, latest - arrived.get(name, when))
        batch.append(arrived.get(name, when))
    return worst


def to_milliseconds(seconds: Sequence[float], share: float) -> float:
    return round(1000 * quantile(list(seconds), share), 1) if seconds else 0.0


def to_text(report: Mapping[str, object]) -> str:
    return "\n".join(f"{name:<36} {value}" for name, value in report.items())
