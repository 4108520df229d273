import pkgutil
from pathlib import Path

from tests.crash.document import DISTURBANCES, DOCUMENT, render
from tests.crash.guards import GUARDS
from tests.crash.points import POINTS

HERE = Path(__file__).parent


def test_the_tables_of_the_document_are_those_of_the_code() -> None:
    text = DOCUMENT.read_text()
    assert render(text) == text, "run: python -m tests.crash.document"


def test_the_document_names_every_test_of_whole_processes() -> None:
    source = "".join((HERE / f"test_{name}.py").read_text() for name in ("processes", "servers", "unswept"))
    assert [test for _, test in DISTURBANCES if f"def {test}(" not in source] == []
    assert source.count("\ndef test_") == len(DISTURBANCES)


def test_points_and_guards_are_functions_that_exist() -> None:
    for target in {point.target for point in POINTS} | {guard.target for guard in GUARDS}:
        assert callable(pkgutil.resolve_name(target))
