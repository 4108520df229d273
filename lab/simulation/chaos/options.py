"""The arguments of a chaos run, the same for `lab.stack chaos` and `manage.py chaos`."""

from argparse import ArgumentParser, RawDescriptionHelpFormatter

from lab.simulation.strikes.deck import KINDS, read_kinds


def add_chaos_options(parser: ArgumentParser) -> None:
    """Add them, with the kinds of strikes below the help."""
    parser.add_argument("--orders", type=int, default=2000, help="to be placed; %(default)s if left out")
    parser.add_argument("--seconds", type=float, default=220, help="of strikes; %(default)s if left out")
    parser.add_argument("--seed", type=int, help="the same seed, the same schedule; a random one if left out")
    parser.add_argument("--only", type=read_kinds, metavar="KINDS", help="strike in these ways alone: names, commas")
    parser.add_argument("--without", type=read_kinds, metavar="KINDS", help="strike in all ways but these")
    parser.add_argument("--json", action="store_true", dest="as_json", help="print one JSON object")
    parser.formatter_class = RawDescriptionHelpFormatter
    parser.epilog = "Kinds of strikes:\n" + "\n".join(f"  {name:<19} {what}" for name, what in KINDS.items())


def choose_kinds(only: set[str] | None, without: set[str] | None) -> set[str]:
    """The kinds that `--only` and `--without` leave; it may be none."""
    return (set(KINDS) if only is None else only) - (without or set())
