"""A pytest plugin: real servers, started before Django reads its settings, thrown away at the end."""

import atexit
import json
import os
from contextlib import ExitStack

import pytest

from lab.stack.profiles import PROFILE
from lab.stack.stack import run_servers

# One customer and one address place all of the tests' orders.
NO_LIMITS = {
    "CHECKOUT_LIMITS": "session=0,account=0,ip=0",
    "DECLINE_LIMITS": "session=0,account=0,ip=0",
    "LOG_IN_LIMITS": "account=0,ip=0",
    "MAIL_LIMITS": "account=0,ip=0",
    "SHOP_MAX_UNPAID": "0",
    "PRODUCT_LIST_AGE": "0",  # tests look again at once
}
# A shop that can take bank transfers too. Whether it offers them, CHECKOUT_GATEWAYS says.
TRANSFERS = {
    "PAYMENT_GATEWAYS": "stripe=payments.stripe.StripeGateway,manual=payments.manual.ManualGateway",
    "TRANSFER_ACCOUNT_HOLDER": "Tea Shop Ltd",
    "TRANSFER_ACCOUNT": "GB33 BUKB 2020 1555 5555 55",
}
CALLER = "TESTS_CALLER"  # the environment before it named our own servers; a process beside us has ours, and needs that
os.environ.setdefault(CALLER, json.dumps(dict(os.environ)))
GIVEN: dict[str, str] = {**json.loads(os.environ[CALLER]), **NO_LIMITS}
EXITS = ExitStack()
atexit.register(EXITS.close)  # also when pytest fails before it can say that it ends


# Before pytest-django's, which loads the settings.
@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests() -> None:
    # A profile is for the stacks that tests start. The tests' own process uses the plain servers.
    stack = EXITS.enter_context(run_servers(caller={**GIVEN, PROFILE: ""}, fsync=False))
    os.environ.update({**NO_LIMITS, **stack.environment})


def pytest_unconfigure() -> None:
    EXITS.close()
