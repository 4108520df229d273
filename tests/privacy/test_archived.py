"""An archived order is read from its file, and a file that is lost or damaged is found."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from orders.models import ArchivedOrder, Order
from privacy.archive import archive_orders
from privacy.archived import find_damage, read_archived_order
from privacy.records import describe_orders, pseudonymize
from tests.builders import everything, make_order
from tests.privacy.aging import age_everything, end_order

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("gateway", "empty_ledger")]


@pytest.fixture
def orders(tmp_path: Path) -> list[Order]:
    """Two orders, archived in the folder."""
    orders = [end_order(make_order({"MUG": units})) for units in (1, 2)]
    age_everything()
    archive_orders(days=180, folder=tmp_path)
    return orders


@pytest.fixture
def path(orders: list[Order], tmp_path: Path) -> Path:
    [path] = tmp_path.glob("*.jsonl")
    return path


def lose_the_file(path: Path) -> None:
    path.unlink()


def lose_the_checksum(path: Path) -> None:
    path.with_name(f"{path.name}.sha256").unlink()


def change_a_byte(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b'"total":500', b'"total":900'))


def cut_it_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


DAMAGES = [lose_the_file, lose_the_checksum, change_a_byte, cut_it_off]


def test_an_archived_order_is_shown_as_it_was_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    order = end_order(make_order({"MUG": 3}))
    age_everything()
    [was] = map(pseudonymize, describe_orders([order.code]))
    archive_orders(days=180, folder=tmp_path)
    before = everything()

    call_command("show_archived", order.code.lower().replace("-", " "), "--in", str(tmp_path))

    shown = json.loads(capsys.readouterr().out)
    assert (shown["order"]["total"], shown["lines"][0]["sku"], len(shown["events"])) == (1500, "MUG", 2)
    assert shown["payments"][0]["provider_id"] == was["payments"][0]["provider_id"]
    assert everything() == before


def test_each_order_of_a_file_is_found_by_its_code(orders: list[Order], tmp_path: Path) -> None:
    found = [read_archived_order(code=order.code, folder=tmp_path) for order in orders]

    assert [record["lines"][0]["quantity"] for record in found] == [1, 2]
    assert list(find_damage(tmp_path)) == []


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_file_shows_nothing_and_is_found(
    orders: list[Order], path: Path, damage: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    damage(path)
    folder = str(path.parent)

    with pytest.raises(CommandError, match=path.name):
        call_command("show_archived", orders[0].code, "--in", folder)
    with pytest.raises(CommandError, match="Orders in it: 2"):
        call_command("check_archive", "--in", folder)

    assert capsys.readouterr().out == ""
    assert [file for file, _ in find_damage(path.parent)] == [path.name]


def test_a_file_that_lacks_an_order_is_found(orders: list[Order], path: Path) -> None:
    ArchivedOrder.objects.create(code="260101-AAAAA-BBBBB", file=path.name)

    assert list(find_damage(path.parent)) == [(path.name, "Orders that it lacks: 1, such as 260101-AAAAA-BBBBB.")]
    with pytest.raises(CommandError, match="has the order 260101-AAAAA-BBBBB 0 times"):
        call_command("show_archived", "260101-AAAAA-BBBBB", "--in", str(path.parent))


def test_an_order_that_was_not_archived_is_not_shown(orders: list[Order], tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"No order 260101-AAAAA-BBBBB was archived\."):
        call_command("show_archived", "260101-AAAAA-BBBBB", "--in", str(tmp_path))


def test_the_archive_is_said_to_be_whole(
    orders: list[Order], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("check_archive", "--in", str(tmp_path))
    assert capsys.readouterr().out == "2 archived orders are as they were written.\n"

    call_command("check_archive", "--in", str(tmp_path), "--json")
    assert json.loads(capsys.readouterr().out) == {"ok": True, "orders": 2, "damage": {}}


@pytest.mark.parametrize("command", [("show_archived", "260101-AAAAA-BBBBB"), ("check_archive",)])
def test_a_folder_that_is_not_there_is_named(command: tuple[str, ...]) -> None:
    with pytest.raises(CommandError, match="'/nowhere' is no folder"):
        call_command(*command, "--in", "/nowhere")
    with pytest.raises(CommandError, match="--in"):
        call_command(*command)
