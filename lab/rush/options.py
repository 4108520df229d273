"""The arguments of `lab.stack rush`."""

from argparse import ArgumentParser
from dataclasses import dataclass

from lab.bench.options import read_count


@dataclass(frozen=True, kw_only=True)
class Options:
    """Who comes for what, and whether they wait."""

    visitors: int = 10_000
    units: int = 100
    seconds: float = 60  # within which all of them arrive
    waits: bool = True
    has_door: bool = True


def add_rush_options(parser: ArgumentParser) -> None:
    default = Options()
    parser.add_argument("--visitors", type=read_count, default=default.visitors, help="%(default)s if left out")
    parser.add_argument("--units", type=read_count, default=default.units, help="to be sold; %(default)s if left out")
    parser.add_argument(
        "--seconds", type=float, default=default.seconds, help="within which all arrive; %(default)s if left out"
    )
    parser.add_argument("--without-waiting-room", action="store_false", dest="waits", help="for comparison")
    parser.add_argument(
        "--one-web-server", action="store_false", dest="has_door", help="for those who wait, too; for comparison"
    )
    parser.add_argument("--json", action="store_true", dest="as_json", help="print one JSON object")
