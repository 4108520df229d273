"""Money is counted in whole minor units, or in Decimals: no code on its way makes a float of it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection

ROOT = Path(settings.BASE_DIR)
MONEY_WORDS = {"amount", "minor", "money", "price", "prices", "refunded", "smallest", "total", "totals"}
# Here is nothing but money, so no float at all. In all other modules, none in an expression with a word of money.
ONLY_MONEY = [
    "api/fields.py",
    "backoffice/export.py",
    "backoffice/money_field.py",
    "backoffice/product_admin.py",
    "catalog/catalog_file.py",
    "catalog/models.py",
    "money/__init__.py",
    "money/currencies.py",
    "orders/models.py",
    "orders/pricing.py",
    "payments/gateway.py",
    "payments/models.py",
    "payments/stripe_answers.py",
    "shop/cart.py",
    "shop/templatetags/shop.py",
]


def list_modules() -> list[str]:
    paths = (path.relative_to(ROOT) for path in ROOT.rglob("*.py"))
    return sorted(str(path) for path in paths if not path.parts[0].startswith(".") and path.parts[0] != "tests")


def find_floats(source: str, *, only_money: bool = False) -> list[str]:
    """The expressions of the source in which money could become a float."""
    expressions = ast.walk(ast.parse(source)) if only_money else find_expressions_of_money(ast.parse(source))
    return [ast.unparse(node) for node in expressions if makes_a_float(node)]


def find_expressions_of_money(tree: ast.Module) -> Iterator[ast.AST]:
    """Every operation and call whose own operands or arguments are named by a word of money."""
    for node in ast.walk(tree):
        match node:
            case ast.BinOp(left=left, right=right) if names_money(left) or names_money(right):
                yield node
            case ast.AugAssign(target=target) if names_money(target):
                yield node
            case ast.Call(args=args) if any(map(names_money, args)):
                yield node
            case ast.AnnAssign(target=name, annotation=kind) | ast.arg(arg=name, annotation=kind) if kind:
                if names_money(name) and "float" in ast.unparse(kind):
                    yield ast.Constant(0.0)


def names_money(node: ast.AST | str) -> bool:
    text = node if isinstance(node, str) else ast.unparse(node)
    words = "".join(sign if sign.isalnum() else " " for sign in text.lower()).split()
    return not MONEY_WORDS.isdisjoint(words)


def makes_a_float(node: ast.AST) -> bool:
    match node:
        case ast.Constant(value=float()):
            return True
        case ast.BinOp(op=ast.Div()) | ast.AugAssign(op=ast.Div()):
            return True
        case ast.BinOp(left=ast.Constant(value=float())) | ast.BinOp(right=ast.Constant(value=float())):
            return True
        case ast.Call(func=ast.Name(id="float" | "round")) | ast.Call(func=ast.Attribute(attr="FloatField")):
            return True
    return False


@pytest.mark.parametrize("module", list_modules())
def test_no_module_makes_a_float_of_money(module: str) -> None:
    assert find_floats((ROOT / module).read_text(), only_money=module in ONLY_MONEY) == []


@pytest.mark.parametrize(
    "line",
    [
        "total / 100",
        "line.price * 0.2",
        "float(order.total)",
        "round(row['amount'], 2)",
        "total_minor /= 100",
        "refunded: float = 0",
        "def pay(amount: float): ...",
        "smallest_total * 1.5",
    ],
)
def test_control_a_float_of_money_is_found(line: str) -> None:
    assert find_floats(line)


@pytest.mark.parametrize("line", ["total * 100", "seconds / 1000", "int(order.total)", "float(seconds)", "total // 2"])
def test_control_other_numbers_are_left_alone(line: str) -> None:
    assert find_floats(line) == []


def test_each_module_of_money_is_there() -> None:
    assert set(ONLY_MONEY) <= set(list_modules())


@pytest.mark.django_db
def test_every_column_of_money_is_a_whole_number_of_64_bits() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT table_name || '.' || column_name, data_type FROM information_schema.columns
               WHERE table_schema = current_schema() AND column_name IN ('amount', 'price', 'refunded', 'total')"""
        )
        columns = dict(cursor.fetchall())
    assert {"catalog_product.price", "orders_order.total", "payments_payment.amount"} <= columns.keys()
    assert set(columns.values()) == {"bigint"}
