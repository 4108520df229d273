"""Which servers a stack runs on."""

import json
from pathlib import Path
from uuid import uuid4

import pytest

from lab.stack.pgbouncer import PROGRAM as PGBOUNCER
from lab.stack.profiles import PROFILE, UnknownProfile, read_profile
from lab.stack.rabbitmq import PROGRAM as RABBITMQ
from tests.crash.conftest import run_drill
from tests.crash.drill import DECLINED, DROPPED, VISA, Purchase
from tests.crash.stories import PAID, REFUSED, finish


@pytest.mark.parametrize("caller", [{}, {PROFILE: ""}, {PROFILE: "default"}])
def test_a_stack_runs_on_the_plain_servers_unless_a_profile_is_named(caller: dict[str, str]) -> None:
    assert read_profile(caller) == {"valkey"}


def test_a_profile_that_there_is_not_is_named_with_those_that_there_are() -> None:
    with pytest.raises(UnknownProfile, match=r"ORDERLY_PROFILE is one of default, rabbitmq.*; not 'kafka'"):
        read_profile({PROFILE: "kafka"})


@pytest.mark.skipif(not (RABBITMQ.exists() and PGBOUNCER), reason="RabbitMQ or PgBouncer is not installed")
def test_a_shop_on_all_servers_of_several_machines_ends_its_orders(tmp_path: Path) -> None:
    """Messages by RabbitMQ, transactions by PgBouncer, every commit on a standby, limits behind sentinels."""
    sku = uuid4().hex
    with run_drill(tmp_path, **{PROFILE: "all"}) as drill:
        drill.stock([sku])
        purchases = [Purchase(sku, method) for method in (VISA, DECLINED, VISA, DROPPED)]
        for purchase in purchases[:2]:
            drill.insist(purchase)
        drill.kill("payments")
        for purchase in purchases[2:]:
            drill.insist(purchase)

        assert [finish(drill, purchase).end for purchase in purchases] == [PAID, REFUSED, PAID, PAID]
        assert drill.stock_of(sku) == (7, 0)
        assert drill.audit() == []
        checked = drill.stack.manage("check", "--deploy", "--database", "default")
        assert "orderly." not in checked.stderr
        findings = json.loads(drill.stack.manage("doctor", "--json").stdout)["findings"]
        unsound = {finding["id"] for finding in findings if finding["verdict"] != "ok"}
        # Tests run without fsync, and the first audit of beat is still to come.
        assert unsound <= {"database.fsync", "money.audit"}
