"""Every block of commands in the documents is run, in the order of its page, or not_run.py says why not."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from lab.stack.embedded import free_port
from lab.stack.stack import Stack
from lab.stack.var import BASE_DIR
from tests.config.test_production import PRODUCTION
from tests.docs.blocks import Block, find_blocks, list_pages
from tests.docs.not_run import NOT_RUN

BLOCKS = [block for page in list_pages() for block in find_blocks(page)]
CATALOG = "sku,name,price\n85123A,WHITE HANGING HEART T-LIGHT HOLDER,2.95\n"
SECONDS = 300  # nothing takes that long, but a machine may be slow
SERVES = "var/receiver.py $SECRET 9000"  # until somebody stops it
ADDRESSES = ("DATABASE_URL", "DATABASE_DIRECT_URL", "REDIS_URL", "BROKER_URL")


def is_listed(block: Block) -> bool:
    return any(page == block.page and block.text.startswith(beginning) for page, beginning, _ in NOT_RUN)


RUN = {block.page: [other for other in BLOCKS if other.page == block.page and not is_listed(other)] for block in BLOCKS}


def test_what_is_not_run_is_there_and_so_is_the_test_that_runs_it() -> None:
    unknown = [
        (page, beginning)
        for page, beginning, _ in NOT_RUN
        if not any(block.page == page and block.text.startswith(beginning) for block in BLOCKS)
    ]
    assert unknown == []
    tests = {test for _, _, reason in NOT_RUN for test in re.findall(r"tests/[\w/]+\.py", reason)}
    assert {test for test in tests if not (BASE_DIR / test).exists()} == set()


@pytest.fixture(scope="module")
def checkout(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder like a checkout in which `make run` runs. Whoever is told of events is forgotten after it."""
    folder = tmp_path_factory.mktemp("checkout")
    for path in BASE_DIR.iterdir():
        if path.name != "var" and not path.name.startswith("."):
            (folder / path.name).symlink_to(path)
    (folder / ".venv").symlink_to(sys.prefix)
    (folder / "var").mkdir()
    (folder / "var" / "stack.json").symlink_to(stack.folder / "stack.json")
    (folder / "PRODUCTS.csv").write_text(CATALOG)
    assert stack.manage("load_catalog", str(folder / "PRODUCTS.csv"), "--stock", "1000").returncode == 0
    yield folder
    with psycopg.connect(stack.full_environment["DATABASE_URL"]) as connection:
        connection.execute("TRUNCATE events_out_endpoint CASCADE")


def find_environment(page: str, stack: Stack, checkout: Path) -> dict[str, str]:
    """What the page has its readers set: a shop in production, or an app of their own."""
    if page == "docs/deploy.md":
        return PRODUCTION | {name: stack.environment[name] for name in ADDRESSES}
    if page == "docs/extend.md":
        return stack.full_environment | {"EXTRA_APPS": "shipping", "PYTHONPATH": str(checkout)}
    return stack.full_environment


def write_script(blocks: list[Block], stack: Stack) -> str:
    """The blocks one after the other; each says where it stands, so that an error shows where it is."""
    script = "set -euo pipefail\n"
    for block in blocks:
        script += f"echo '{block.page}:{block.line}' >&2\n{block.text}\n"
    script = script.replace("http://127.0.0.1:8000", stack.web_url)
    script = script.replace(f".venv/bin/python {SERVES}", f"timeout 3 .venv/bin/python {SERVES} || test $? = 124")
    return script.replace("9000", str(free_port()))


@pytest.mark.parametrize("page", [page for page, blocks in RUN.items() if blocks])
def test_the_commands_of_a_page_run_one_after_the_other(stack: Stack, checkout: Path, page: str) -> None:
    done = subprocess.run(
        ["bash", "-c", write_script(RUN[page], stack)],
        cwd=checkout,
        env=find_environment(page, stack, checkout),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )

    assert done.returncode == 0, done.stdout[-2_000:] + done.stderr[-2_000:]
