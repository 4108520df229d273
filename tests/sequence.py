"""A pytest plugin: in which order tests run, and which of their cases."""

import pytest

# Files that start whole shops, the longest first. They wait for processes, pauses and time limits.
LONGEST = (
    "tests/crash/test_processes",
    "tests/crash/test_servers",
    "tests/crash/test_unswept",
    "tests/crash/test_points",
    "tests/crash/test_controls",
    "tests/crash/",
    "tests/lab/simulation/test_chaos.py",
    "tests/lab/bench/",
    "tests/browser/",
    "tests/lab/",
    "tests/live/",
    "tests/docs/test_commands",
    "tests/audit/test_doctor",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--one-case", action="store_true", help="of each test function, run the first case alone")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The longest files come first, so that no process of pytest-xdist is alone with one at the end.

    The command line can't say so: pytest drops a folder that lies in another one of its arguments.
    """
    items.sort(key=find_place)
    if config.getoption("one_case"):
        firsts: dict[str, pytest.Item] = {}
        for item in items:
            firsts.setdefault(item.nodeid.partition("[")[0], item)
        config.hook.pytest_deselected(items=list(set(items) - set(firsts.values())))
        items[:] = firsts.values()


def find_place(item: pytest.Item) -> int:
    places = [place for place, beginning in enumerate(LONGEST) if item.nodeid.startswith(beginning)]
    return places[0] if places else len(LONGEST)
