"""The audit of a run: what it finds makes the run fail."""

import os
from pathlib import Path

import pytest
from django.db import connection
from tqdm import tqdm

from lab.bench.options import SMOKE
from lab.bench.workbench import NotClean, Workbench
from lab.stack.processes import Supervisor
from lab.stack.servers import with_database
from lab.stack.stack import Stack
from tests.builders import make_product, tamper
from tests.provider import Provider


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("empty_ledger")
def test_a_run_fails_where_the_audit_finds_something(provider: Provider, tmp_path: Path) -> None:
    database = with_database(os.environ["DATABASE_URL"], connection.settings_dict["NAME"])
    environment = {"DATABASE_URL": database, "STRIPE_API_BASE": provider.url}
    stack = Stack(
        folder=tmp_path, supervisor=Supervisor(), caller_environment=os.environ.copy(), environment=environment
    )
    bench = Workbench(stack=stack, shops={}, options=SMOKE, bar=tqdm(disable=True))
    make_product("MUG")
    bench.audit()

    tamper("UPDATE catalog_stock SET on_hand = on_hand + 1")

    with pytest.raises(NotClean, match="A1"):
        bench.audit()
