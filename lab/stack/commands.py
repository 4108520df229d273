"""What a stack is started for: to serve, to show, to be struck, to run a command."""

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import LiteralString

import psycopg

from lab.stack.embedded import free_port
from lab.stack.processes import child_command
from lab.stack.shop import make_service, run_stack
from lab.stack.stack import Stack, run_servers
from lab.stack.var import BASE_DIR, VAR

# The clocks of the demo, in seconds: the sweep takes up what a killed worker lost while somebody still watches.
DEMO_CLOCKS = {"STRIPE_TIMEOUT": "4", "SWEEP_AFTER": "5", "SWEEP_EVERY": "1"}
# The clocks of a chaos run, in seconds. Every order meets its deadline, and none is shorter than a process is frozen.
CHAOS_CLOCKS = {
    "ORDER_EXPIRES_AFTER": "60",
    "SANDBOX_HANG_SECONDS": "6",
    "STRIPE_TIMEOUT": "4",
    "SWEEP_AFTER": "6",
    "SWEEP_AFTER_MAX": "20",
    "SWEEP_EVERY": "1",
    "WEBHOOK_TIMEOUT": "4",
}
TRANSFERS = {
    "PAYMENT_GATEWAYS": "stripe=payments.stripe.StripeGateway,manual=payments.manual.ManualGateway",
    "TRANSFER_ACCOUNT_HOLDER": "Tea Shop Ltd",
    "TRANSFER_ACCOUNT": "GB33 BUKB 2020 1555 5555 55",
}
CATALOG = "data/products.csv"
ADMIN = "admin@example.com"
STARTING = "Starting PostgreSQL, the broker, the payment provider, web, workers and beat ..."
WELCOME = """
Shop              {stack.web_url}/
Admin             {stack.web_url}/admin/
                  {login}
Payment provider  {stack.provider_url}
Logs              {stack.folder}/log

`.venv/bin/python manage.py ...` in another terminal uses this stack. Ctrl-C stops it; the data stay.
"""


def has_rows(stack: Stack, query: LiteralString) -> bool:
    with psycopg.connect(stack.environment["DATABASE_URL"]) as connection:
        return connection.execute(query).fetchone() is not None


def run() -> None:
    """Serve until Ctrl-C or SIGTERM, with products to sell and somebody to log in as."""
    print(STARTING, flush=True)
    with run_stack(VAR, web_port=8000) as stack:
        if not has_rows(stack, "SELECT FROM catalog_product LIMIT 1"):
            _manage(stack, "load_catalog", CATALOG, "--stock", "1000")
        again = f"`.venv/bin/python manage.py changepassword {ADMIN}` makes another"
        login = f"{ADMIN}, password as before ({again})"
        if not has_rows(stack, "SELECT FROM accounts_user WHERE is_superuser LIMIT 1"):
            password = secrets.token_hex(8)
            _manage(stack, "createsuperuser", "--no-input", "--email", ADMIN, DJANGO_SUPERUSER_PASSWORD=password)
            login = f"{ADMIN}, password {password} (shown this once; {again})"
        print(WELCOME.format(stack=stack, login=login), flush=True)
        if not stack.web_url.endswith(":8000"):
            print("Port 8000 was taken.", flush=True)
        signal.pause()


def demo() -> int:
    """Run the demo on a throwaway stack; return its exit code."""
    print(STARTING, flush=True)
    with run_stack(caller={**DEMO_CLOCKS, **os.environ}) as stack:
        return _manage(stack, "demo", str(stack.folder / "stack.json"))


def chaos(arguments: Sequence[str]) -> int:
    """Strike a throwaway stack in every way while people buy; return the exit code. Its mails go nowhere else."""
    print(STARTING, file=sys.stderr, flush=True)
    port = free_port()
    mails = {"EMAIL_URL": f"smtp://127.0.0.1:{port}", "STAFF_EMAILS": "staff@example.com"}
    with run_stack(caller={**CHAOS_CLOCKS, **TRANSFERS, **os.environ, **mails}) as stack:
        stack.environment |= mails
        module = f"lab.simulation.strikes.mail_server --port {port}"
        stack.supervisor.start(make_service(stack, "mail-server", module, "--folder", str(stack.folder)))
        stack.write_state()
        return _manage(stack, "chaos", str(stack.folder / "stack.json"), *arguments)


def execute(command: Sequence[str]) -> int:
    """Run the command with throwaway servers in its environment; return its exit code."""
    with run_servers(fsync=False) as stack:
        code = subprocess.call(child_command(command), env=stack.full_environment)
    return code if code >= 0 else 128 - code


def _manage(stack: Stack, *arguments: str, **environment: str) -> int:
    """What the command does to orders it prints itself. The log would tell it between these lines once more."""
    command = child_command([sys.executable, "manage.py", *arguments])
    quiet = {"LOG_LEVEL": "WARNING"}
    return subprocess.call(command, cwd=BASE_DIR, env={**quiet, **stack.full_environment, **environment})
