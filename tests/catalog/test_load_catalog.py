from io import StringIO
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from catalog.models import Category, Product, Stock, StockMovement
from tests.builders import everything, make_order, make_product, stock_of
from tests.catalog.spreadsheets import FORMATS, Format, save_table

pytestmark = pytest.mark.django_db

REAL = settings.BASE_DIR / "data" / "products.csv"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "products.csv"


def load(file: Path, *rows: str, **options: object) -> tuple[str, list[str]]:
    """Write the rows to the file and load it; return the summary and the reports of its bad rows."""
    file.write_text("\n".join(rows))
    return load_file(file, **options)


def load_file(file: Path, **options: object) -> tuple[str, list[str]]:
    out, err = StringIO(), StringIO()
    call_command("load_catalog", file, stdout=out, stderr=err, no_color=True, **{"stock": 5, **options})
    return out.getvalue().strip(), [line.removeprefix(f"{file}:") for line in err.getvalue().splitlines()]


def offer(sku: str) -> tuple[str, int | None, str, bool]:
    product = Product.objects.get(sku=sku)
    return product.name, product.price, product.currency, product.active


def test_load_catalog_loads_products_and_gives_each_its_stock(file: Path) -> None:
    summary, bad = load(
        file, "sku,name,price,description", 'MUG,"Mug, blue",2.55,Holds tea', "CUP,Cup,3,", "TIN,Tin,0.1,"
    )

    assert bad == []
    assert summary == "3 products new, 0 updated (0 of them without a price), 3 given 5 units; bad rows: 0"
    assert offer("MUG") == ("Mug, blue", 255, "GBP", True)
    assert [offer(sku)[1] for sku in ("CUP", "TIN")] == [300, 10]
    mug = Product.objects.get(sku="MUG")
    assert (mug.slug, mug.description) == ("mug-blue", "Holds tea")
    assert stock_of("MUG") == (5, 0)
    assert [(m.kind, m.quantity, m.reference) for m in mug.stock.movements.all()] == [("RECEIVED", 5, "load_catalog")]


def test_load_catalog_puts_products_in_categories_and_makes_those_that_are_new(file: Path) -> None:
    Category.objects.create(name="Mugs and jugs", slug="mugs")

    _, bad = load(
        file,
        "sku,name,price,category",
        "MUG,Mug,1,Mugs",
        "JUG,Jug,1,MUGS",
        "CUP,Cup,1,찻잔",
        "TIN,Tin,1,",
        "BAD,Bad,1,&",
    )

    assert bad == ["6: category '&' has neither letters nor digits"]
    assert category_names() == {"MUG": "Mugs and jugs", "JUG": "Mugs and jugs", "CUP": "찻잔", "TIN": None}
    assert Category.objects.count() == 2


def test_load_catalog_keeps_categories_where_the_file_has_none(file: Path) -> None:
    load(file, "sku,name,price,category", "MUG,Mug,1,Mugs", "CUP,Cup,1,Cups")
    load(file, "sku,name,price", "MUG,Mug,2")
    assert category_names() == {"MUG": "Mugs", "CUP": "Cups"}

    load(file, "sku,name,price,category", "MUG,Mug,2,", "CUP,Cup,1,Mugs")
    assert category_names() == {"MUG": None, "CUP": "Mugs"}


def category_names() -> dict[str, str | None]:
    return dict(Product.objects.values_list("sku", "category__name"))


def test_load_catalog_loads_the_real_catalogue() -> None:
    summary, bad = load_file(REAL)

    assert summary == "4069 products new, 0 updated (132 of them without a price), 4069 given 5 units; bad rows: 1"
    assert bad == [f"{pads_line()}: price 0.001 is finer than a minor unit of GBP"]
    assert Product.objects.filter(active=False, price=None).count() == 132
    assert offer("10002") == ("INFLATABLE POLITICAL GLOBE", 85, "GBP", True)
    assert {offer(sku)[1] for sku in ("15056BL", "15056bl")} == {595, 1246}, "SKUs that differ by letter case are two"
    assert not Product.objects.filter(name="").exists()


def pads_line() -> int:
    lines = REAL.read_text().splitlines()
    return next(number for number, line in enumerate(lines, start=1) if line.startswith("PADS,"))


def test_load_catalog_twice_changes_nothing(file: Path) -> None:
    load_file(REAL)
    before = everything()

    summary, _ = load_file(REAL)

    assert summary == "0 products new, 4069 updated (132 of them without a price), 0 given 5 units; bad rows: 1"
    assert everything() == before


def test_load_catalog_updates_what_the_file_says_and_keeps_stock_and_slug(file: Path) -> None:
    make_product("MUG", price=500, stock=10, description="Ours")
    make_order({"MUG": 2})

    load(file, "sku,name,price", "MUG,Mug,2.55", stock=0)

    assert offer("MUG") == ("Mug", 255, "GBP", True)
    mug = Product.objects.get(sku="MUG")
    assert (mug.slug, mug.description) == ("the-mug", "Ours")
    assert stock_of("MUG") == (10, 2)


def test_load_catalog_replaces_a_description_that_the_file_has(file: Path) -> None:
    make_product("MUG", description="Ours")

    load(file, "sku,name,price,description", "MUG,Mug,2.55,Theirs")

    assert Product.objects.get(sku="MUG").description == "Theirs"


def test_load_catalog_leaves_off_what_staff_switched_off(file: Path) -> None:
    make_product("MUG", price=500, active=False)

    load(file, "sku,name,price", "MUG,Mug,2.55")

    assert offer("MUG") == ("Mug", 255, "GBP", False)


def test_load_catalog_takes_a_product_off_sale_with_its_price_and_back_with_it(file: Path) -> None:
    load(file, "sku,name,price", "MUG,Mug,2.55")

    load(file, "sku,name,price", "MUG,Mug,")
    assert offer("MUG") == ("Mug", None, "GBP", False)

    load(file, "sku,name,price", "MUG,Mug,2.60")
    assert offer("MUG") == ("Mug", 260, "GBP", True)


def test_load_catalog_gives_units_once_also_when_the_number_changes(file: Path) -> None:
    load(file, "sku,name,price", "MUG,Mug,1", stock=5)
    load(file, "sku,name,price", "MUG,Mug,1", "CUP,Cup,1", stock=9)

    assert (stock_of("MUG"), stock_of("CUP")) == ((5, 0), (9, 0))


def test_load_catalog_without_units_leaves_an_empty_stock(file: Path) -> None:
    load(file, "sku,name,price", "MUG,Mug,1", stock=0)

    assert stock_of("MUG") == (0, 0)
    assert not StockMovement.objects.exists()


def test_load_catalog_names_a_nameless_product_by_its_sku(file: Path) -> None:
    load(file, "sku,name,price", "MUG,,1")

    assert offer("MUG")[0] == "MUG"


@pytest.mark.parametrize(
    ("currency", "text", "price"),
    [
        ("GBP", "2.5", 250),
        ("JPY", "255", 255),
        ("KWD", "2.55", 2550),
        ("ISK", "5", 500),
        ("KRW", "3000000000", 3 * 10**9),
    ],
)
def test_load_catalog_minds_the_decimals_of_the_currency(file: Path, currency: str, text: str, price: int) -> None:
    load(file, "sku,name,price,currency", f"MUG,Mug,{text},{currency}", f"CUP,Cup,{text},", currency=currency)

    assert offer("MUG")[1:3] == offer("CUP")[1:3] == (price, currency)


BAD_ROWS = {
    ",Mug,1,GBP": "no SKU",
    "MUG,Mug,cheap,GBP": "price 'cheap' is not a number",
    "MUG,Mug,1e2,GBP": "price '1e2' is not a number",
    "MUG,Mug,NaN,GBP": "price 'NaN' is not a number",
    "MUG,Mug,0,GBP": "price 0 is not positive",
    "MUG,Mug,-1,GBP": "price -1 is not positive",
    "MUG,Mug,0.001,GBP": "price 0.001 is finer than a minor unit of GBP",
    "MUG,Mug,2.5,JPY": "price 2.5 is finer than a minor unit of JPY",
    "MUG,Mug,10000000000,GBP": "price 10000000000 is more than can be charged",
    "MUG,Mug,5.124,KWD": "price 5.124 can't be charged: KWD goes in steps of KWD\xa00.010",
    "MUG,Mug,5.50,ISK": "price 5.50 can't be charged: ISK goes in steps of ISK\xa01",
    "MUG,Mug,1250.50,UGX": "price 1250.50 can't be charged: UGX goes in steps of UGX\xa01",
    "GOOD,Again,2,GBP": "SKU GOOD is on line 2 already",
    f"{'M' * 65},Mug,1,GBP": "SKU is longer than 64 characters",
    f"MUG,{'M' * 201},1,GBP": "name is longer than 200 characters",
    "MU\x07G,Mug,1,GBP": r"SKU 'MU\x07G': A SKU has no invisible characters, and no blanks but spaces.",
    "MUG,M\0ug,1,GBP": "a NUL character",
    "MUG,Mug,1": "3 columns, not 4",
    "MUG,Mug,1,GBP,more": "5 columns, not 4",
    "MUG,Mug,1,pounds": "currency 'pounds' is not an ISO 4217 code",
    "MUG,Mug,1,gbp": "currency 'gbp' is not an ISO 4217 code",
    "MUG,Mug,1,ZZZ": "currency 'ZZZ' is not an ISO 4217 code",
    'MUG,"Mug"s,1,GBP': "not CSV: ',' expected after '\"'",
}


@pytest.mark.parametrize("row", BAD_ROWS)
def test_load_catalog_reports_a_bad_row_with_its_line_and_loads_the_others(file: Path, row: str) -> None:
    summary, bad = load(file, "sku,name,price,currency", "GOOD,Good,1,GBP", "", row, "LAST,Last,1,GBP")

    assert bad == [f"4: {BAD_ROWS[row]}"]
    assert summary.endswith("bad rows: 1")
    assert sorted(Product.objects.values_list("sku", "name")) == [("GOOD", "Good"), ("LAST", "Last")]
    assert Stock.objects.count() == 2


def test_load_catalog_numbers_a_row_by_its_first_line(file: Path) -> None:
    _, bad = load(file, "sku,name,price,description", 'MUG,Mug,1,"two', 'lines"', ',Cup,1,"two', 'lines"')

    assert bad == ["4: no SKU"]


def test_load_catalog_strict_loads_nothing_when_a_row_is_bad(file: Path) -> None:
    before = everything()

    with pytest.raises(CommandError, match="nothing loaded; bad rows: 1"):
        load(file, "sku,name,price", "GOOD,Good,1", "MUG,Mug,cheap", strict=True)

    assert everything() == before


UNREADABLE = {
    b"": "empty",
    b"sku,name\nMUG,Mug\n": "no column price or modal_unit_price_gbp",
    b"name,price\nMug,1\n": "no column sku",
    b"sku,name,price,name\nMUG,Mug,1,Cup\n": "a column stands twice",
    b"sku,name,price\nMUG,Mug,1\nCUP,Caf\xe9,1\n": "products.csv:3: neither UTF-8 nor UTF-16",
    "sku,name,price\nMUG,Mug,1\n".encode("utf-16-le"): "products.csv:1: neither UTF-8 nor UTF-16",
    "sku,name,price\nMUG,Mug,1\n".encode("utf-32"): "products.csv:1: neither UTF-8 nor UTF-16",
    "sku,name,price\nMUG,Mug,1\n".encode("utf-16")[:-1]: "products.csv:2: neither UTF-8 nor UTF-16",
    b"sku,name,price\n": "nothing loaded; bad rows: 0",
    b"sku,name,price\n,Mug,1\n": "nothing loaded; bad rows: 1",
    b'sku,"name"x,price\n,Mug,1\n': "not CSV",
}


@pytest.mark.parametrize("content", UNREADABLE)
def test_load_catalog_refuses_what_is_no_catalogue(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    before = everything()

    with pytest.raises(CommandError, match=UNREADABLE[content]):
        load_file(file)

    assert everything() == before


def test_load_catalog_refuses_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="No such file"):
        load_file(tmp_path / "missing.csv")


def test_load_catalog_refuses_prices_in_another_currency_than_asked_for(file: Path) -> None:
    with pytest.raises(CommandError, match="modal_unit_price_gbp is not in EUR"):
        load_file(REAL, currency="EUR")

    assert not Product.objects.exists()


@pytest.mark.parametrize("stock", ["-1", "many", "2000000000"])
def test_load_catalog_refuses_a_wrong_number_of_units(stock: str) -> None:
    with pytest.raises(CommandError, match="is not a number of units"):
        call_command("load_catalog", str(REAL), "--stock", stock)

    assert not Product.objects.exists()


def test_load_catalog_reads_a_byte_order_mark_and_windows_line_ends(file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbfSKU,Name,Price\r\nMUG,Mug,1\r\n")

    _, bad = load_file(file)

    assert bad == []
    assert offer("MUG") == ("Mug", 100, "GBP", True)


@pytest.mark.parametrize("how", FORMATS, ids=lambda how: how.words)
def test_load_catalog_reads_what_a_spreadsheet_saves(file: Path, how: Format) -> None:
    rows = [
        ["SKU", "Name", "Price", "Description"],
        ["MÜG", 'The "blue"; one, really', "2.55", "two\nlines, and; more"],
        ["", "Nameless", "1", ""],
        ["杯", "杯子", "3", ""],
    ]
    file.write_bytes(save_table(rows, how))

    _, bad = load_file(file)

    assert bad == ["4: no SKU"], "a quoted newline counts as a line"
    assert offer("MÜG") == ('The "blue"; one, really', 255, "GBP", True)
    assert Product.objects.get(sku="MÜG").description == "two\nlines, and; more"
    assert offer("杯")[:2] == ("杯子", 300)


@pytest.mark.parametrize("delimiter", [";", "\t"])
@pytest.mark.parametrize(
    ("text", "price"), [("5,00", 500), ("5,5", 550), ("5.00", 500), ("5", 500), ("1234,50", 123_450)]
)
def test_a_price_has_a_decimal_comma_where_the_comma_separates_no_columns(
    file: Path, delimiter: str, text: str, price: int
) -> None:
    load(file, delimiter.join(["sku", "name", "price"]), delimiter.join(["MUG", "Mug", text]))

    assert offer("MUG")[1] == price


@pytest.mark.parametrize(
    ("text", "currency"), [("1.234,50", "GBP"), ("1,234.50", "GBP"), ("1,234", "GBP"), ("1,234", "KWD"), ("5,", "GBP")]
)
def test_a_price_that_may_have_thousands_is_refused(file: Path, text: str, currency: str) -> None:
    _, bad = load(file, "sku;name;price;currency", "CUP;Cup;1;", f"MUG;Mug;{text};{currency}")

    assert bad == [f"3: price {text!r} is not a number"]
    assert not Product.objects.filter(sku="MUG").exists()


def test_a_price_with_a_comma_is_refused_where_the_comma_separates_columns(file: Path) -> None:
    _, bad = load(file, "sku,name,price", "CUP,Cup,1", 'MUG,Mug,"5,00"')

    assert bad == ["3: price '5,00' is not a number"]
