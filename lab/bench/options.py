"""The arguments of `lab.stack bench`."""

from argparse import ArgumentParser, ArgumentTypeError, RawDescriptionHelpFormatter
from dataclasses import dataclass
from pathlib import Path

SCENARIOS = {
    "a": "two of a thousand products, by 50 clients",
    "b": "one hot product, by 50 clients",
    "c": "the same while each payment takes 100 or 300 ms",
    "d": "a rush: 10,000 buyers of 100 units",
    "e": "overload: how long a POST takes while a backlog drains, and how long that takes",
    "g": "repair: a worker is killed every 15 seconds, in turn",
    "h": "pages: products, checkout, an order's state",
    "i": "endurance: the memory of each process after a tenth, half and all of 10,000 orders",
    "f": "history: what finished orders cost the next one, and the audit",
}


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to run, and how much of it."""

    scenarios: str = "abcd"
    rounds: int = 3
    orders: int = 300
    seconds: float = 5
    history: int = 20_000
    kills: int = 4
    endurance: int = 10_000
    smoke: bool = False


SMOKE = Options(scenarios="abcdefghi", rounds=1, orders=10, seconds=1, history=100, kills=1, endurance=20, smoke=True)


def add_bench_options(parser: ArgumentParser) -> None:
    """Add them, with the scenarios below the help."""
    default = Options()
    parser.add_argument("--scenarios", type=read_scenarios, default=default.scenarios, help="%(default)s if left out")
    parser.add_argument("--rounds", type=read_count, default=default.rounds, help="of each; %(default)s if left out")
    parser.add_argument(
        "--orders", type=read_count, default=default.orders, help="at most so many a round; %(default)s if left out"
    )
    parser.add_argument(
        "--seconds", type=float, default=default.seconds, help="of POSTs a round at most; %(default)s if left out"
    )
    parser.add_argument(
        "--history", type=read_count, default=default.history, help="orders of f; %(default)s if left out"
    )
    parser.add_argument("--kills", type=read_count, default=default.kills, help="of g; %(default)s if left out")
    parser.add_argument(
        "--endurance", type=read_count, default=default.endurance, help="orders of i; %(default)s if left out"
    )
    parser.add_argument(
        "--smoke", action="store_true", help="everything, as short as it can be; the figures mean nothing"
    )
    parser.add_argument(
        "--against", type=read_checkout, metavar="CHECKOUT", help="hold this checkout against another one, in turn"
    )
    parser.add_argument("--json", type=Path, nargs="?", const=Path("-"), metavar="FILE", help="write one JSON object")
    parser.add_argument("--write", action="store_true", help="draw the charts and the table in docs/")
    parser.formatter_class = RawDescriptionHelpFormatter
    parser.epilog = "Scenarios:\n" + "\n".join(f"  {letter}  {what}" for letter, what in SCENARIOS.items())


def read_scenarios(text: str) -> str:
    """Letters, with or without commas, in the order in which they are run: history is last, for it stays."""
    letters = set(text.replace(",", "").replace(" ", ""))
    if unknown := letters - set(SCENARIOS):
        raise ArgumentTypeError(f"There is no scenario {', '.join(sorted(unknown))}: {', '.join(SCENARIOS)}.")
    return "".join(letter for letter in SCENARIOS if letter in letters)


def read_count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text) > 0):
        raise ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def read_checkout(text: str) -> Path:
    if not (Path(text) / "lab" / "stack").is_dir():
        raise ArgumentTypeError(f"{text} is no checkout of this project")
    return Path(text)
