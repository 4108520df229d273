"""The whole shop on this machine: servers, payment provider, web, workers and beat, each started again when it dies."""

import argparse
import logging
import os
import signal
import sys
from types import FrameType
from typing import NoReturn

import environ
import psycopg
from django.core.exceptions import ImproperlyConfigured

from lab.bench.command import bench
from lab.bench.options import add_bench_options
from lab.growth.command import growth
from lab.growth.inputs import add_growth_options
from lab.rush.command import rush
from lab.rush.options import add_rush_options
from lab.simulation.chaos.options import add_chaos_options
from lab.stack.commands import chaos, demo, execute, run
from lab.stack.embedded import ServersMissing
from lab.stack.processes import ProcessFailed
from lab.stack.profiles import PROFILE, PROFILES, UnknownProfile
from lab.stack.var import BASE_DIR, AlreadyRunning

# What may be wrong with the machine or the environment. Their words are enough.
ERRORS = (AlreadyRunning, ImproperlyConfigured, ProcessFailed, ServersMissing, UnknownProfile, psycopg.Error, OSError)

FIGURES = {"bench": bench, "growth": growth, "rush": rush}  # the commands that find figures


def _exit(signal_number: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(128 + signal_number)


def make_profile_parser() -> argparse.ArgumentParser:
    profile = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    profile_help = f"the servers that it runs on; for other commands set {PROFILE}"
    profile.add_argument("--profile", choices=PROFILES, help=profile_help)
    return profile


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m lab.stack", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    profile = make_profile_parser()
    run_help = "serve until Ctrl-C; the data stay in var/, or in DATABASE_URL and REDIS_URL"
    demo_help = "real orders while workers are killed, on a stack that is thrown away"
    for name, text in (("run", run_help), ("demo", demo_help)):
        commands.add_parser(name, help=text, parents=[profile])
    chaos_help = "orders while processes die and neighbours are sick, on a stack that is thrown away"
    chaos_parser = commands.add_parser("chaos", help=chaos_help, description=f"Make {chaos_help}.", parents=[profile])
    add_chaos_options(chaos_parser)
    bench_help = "what an order costs here and in simpler designs, on a stack that is thrown away"
    add_bench_options(commands.add_parser("bench", help=bench_help, description=f"Measure {bench_help}."))
    rush_help = "thousands of visitors who come for a few units, on a stack that is thrown away"
    add_rush_options(commands.add_parser("rush", help=rush_help, description=f"Send {rush_help}."))
    growth_help = "what more orders a second need: machines, processes, connections, disks, money"
    add_growth_options(commands.add_parser("growth", help=growth_help, description=f"Compute {growth_help}."))
    execute_parser = commands.add_parser("exec", help="run a command with throwaway servers")
    execute_parser.add_argument("arguments", nargs="+", metavar="COMMAND", help="the command, after --")
    return parser


def main() -> int:
    options = make_parser().parse_args()
    environ.Env.read_env(BASE_DIR / ".env")
    if getattr(options, "profile", None):
        os.environ[PROFILE] = options.profile
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a script's background job ignores it otherwise
    for sent in (signal.SIGTERM, signal.SIGHUP):  # end as on Ctrl-C: everything is stopped on the way out
        if signal.getsignal(sent) is not signal.SIG_IGN:  # nohup
            signal.signal(sent, _exit)
    try:
        return start(options)
    except KeyboardInterrupt:
        return 0 if options.command == "run" else 130  # what `run` waits for, and make would call an error
    except ERRORS as error:
        print(error, file=sys.stderr)
        return 1


def start(options: argparse.Namespace) -> int:
    """Do what the command says; return the exit code."""
    match options.command:
        case "exec":
            return execute(options.arguments)
        case "demo":
            return demo()
        case "chaos":
            return chaos(make_profile_parser().parse_known_args(sys.argv[2:])[1])
        case "bench" | "growth" | "rush":
            return FIGURES[options.command](options)
    run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
