from typing import Any

import pytest
from django.db import connection
from django.test import Client

from catalog.category_models import make_slug
from catalog.models import Category, Product, Stock
from catalog.search import PAGE_SIZE, SORTS, Sort, count_products, find_products, read_page
from shop.page_numbers import PageNumbers
from tests.builders import make_product

pytestmark = pytest.mark.django_db


def make_products(count: int) -> None:
    """Named so that every other one shares its name with its neighbour, and only the id tells them apart."""
    Product.objects.bulk_create(
        Product(sku=f"S{n:03}", name=f"Name {n // 2:03}", slug="name", price=100, currency="GBP") for n in range(count)
    )
    Stock.objects.bulk_create(Stock(product=product, on_hand=5) for product in Product.objects.all())


def skus(response: Any) -> list[str]:
    return [product.sku for product in response.context["page"].products]


def found(query: str) -> list[str]:
    return [product.sku for product in find_products(query).order_by("sku")]


def test_search_finds_by_every_word_of_the_name_and_by_sku_in_any_case() -> None:
    make_product("85123A", name="WHITE HANGING HEART T-LIGHT HOLDER")
    make_product("85123a", name="Cream heart")
    make_product("21411", name="Red heart")

    assert found("heart") == ["21411", "85123A", "85123a"]
    assert found("HEART hanging") == ["85123A"]
    assert found("85123") == ["85123A", "85123a"]
    assert found("heart spoon") == []


@pytest.mark.parametrize(
    "query", ["100%", "_", "\\", "'", '"', "\0", "%", "( & |", "x" * 5000, " ", "h\u00e9\u1e9e\u0130"]
)
def test_search_takes_whatever_is_typed_as_text(client: Client, query: str) -> None:
    make_product("MUG", name="Mug of 100% wool")

    answer = client.get("/", {"q": query})

    assert answer.status_code == 200
    assert skus(answer) == (["MUG"] if query.strip("\0 ") in ("100%", "%", "") else [])


def test_search_and_list_show_only_what_is_for_sale(client: Client) -> None:
    make_product("MUG")
    make_product("OLD", active=False)
    Product.objects.create(sku="BARE", name="Without a stock", price=1, currency="GBP")

    assert skus(client.get("/")) == skus(client.get("/?q=the")) == ["MUG"]


def test_pages_show_every_product_once_forwards_and_backwards(client: Client) -> None:
    make_products(2 * PAGE_SIZE + 3)
    forwards, backwards = [], []

    page = read_page(find_products())
    while True:
        forwards.append([product.sku for product in page.products])
        if page.after is None:
            break
        page = read_page(find_products(), after=page.after)
    while page.before:
        page = read_page(find_products(), before=page.before)
        backwards.append([product.sku for product in page.products])

    assert [sku for page in forwards for sku in page] == [f"S{n:03}" for n in range(2 * PAGE_SIZE + 3)]
    assert backwards == forwards[-2::-1]


def test_going_back_beyond_the_beginning_shows_the_whole_first_page() -> None:
    make_products(PAGE_SIZE + 1)
    second = Product.objects.get(sku="S001")

    assert read_page(find_products(), before=second.pk) == read_page(find_products())


@pytest.mark.parametrize("place", ["after=999999", "after=x", "before=-1", "after=" + "9" * 30, "after=%00"])
def test_a_page_that_is_nowhere_is_the_first(client: Client, place: str) -> None:
    make_product("MUG")

    assert skus(client.get(f"/?{place}")) == ["MUG"]


@pytest.mark.parametrize("place", ["after", "before"])
def test_beside_a_product_without_a_price_are_the_first_of_the_prices(client: Client, place: str) -> None:
    make_product("MUG")
    unpriced = make_product("CUP", price=None, active=False)

    assert skus(client.get(f"/?sort=price&{place}={unpriced.pk}")) == ["MUG"]


@pytest.mark.parametrize("slug", ["cups", "cu\0ps", "\0", "x" * 5000, "\u0301"])
def test_a_category_that_is_not_there_has_no_page(client: Client, slug: str) -> None:
    make_product("MUG")

    assert client.get("/", {"category": slug}).status_code == 404


def test_next_page_of_a_search_keeps_its_words(client: Client) -> None:
    make_products(PAGE_SIZE + 2)
    make_product("MUG", name="A & B")

    answer = client.get("/", {"q": "na s0"})

    assert 'rel="next" href="?q=na+s0&amp;page=2"' in answer.text
    assert len(skus(client.get("/?q=na+s0&page=2"))) == 2
    assert "26 products" in answer.text
    assert "Page 1 of 2" in answer.text


def test_numbered_pages_show_every_product_once(client: Client) -> None:
    make_products(2 * PAGE_SIZE + 3)

    shown = [skus(client.get("/", {"page": number})) for number in (1, 2, 3)]

    assert [sku for page in shown for sku in page] == [f"S{n:03}" for n in range(2 * PAGE_SIZE + 3)]
    last = client.get("/", {"page": 99})
    assert skus(last) == shown[2]
    assert "Page 3 of 3" in last.text
    assert 'rel="prev" href="?page=2"' in last.text
    assert 'rel="next"' not in last.text


def test_beyond_what_is_counted_each_page_leads_to_the_next(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("catalog.search.MAX_COUNT", PAGE_SIZE)
    monkeypatch.setattr("shop.product_pages.MAX_COUNT", PAGE_SIZE)
    make_products(2 * PAGE_SIZE + 1)

    first = client.get("/")
    after = first.context["page"].after
    second = client.get(f"/?after={after}")

    assert "Page 1 of more than 1" in first.text
    assert f'rel="next" href="?after={after}"' in first.text
    assert "Page 2" not in second.text
    assert skus(first) + skus(second) == [f"S{n:03}" for n in range(2 * PAGE_SIZE)]


@pytest.mark.parametrize(
    ("number", "last", "shown"),
    [(1, 1, [1]), (1, 170, [1, 2, 3, None, 170]), (6, 9, [1, None, 4, 5, 6, 7, 8, 9]), (None, 5, [1, 2, 3, None, 5])],
)
def test_the_first_the_last_and_the_near_pages_have_links(
    number: int | None, last: int, shown: list[int | None]
) -> None:
    assert PageNumbers(number, last).shown == shown


def test_a_sign_between_words_is_no_word() -> None:
    make_product("SET", name="MUG AND SPOON")

    assert found("mug & spoon") == found("mug - spoon") == ["SET"]


@pytest.mark.parametrize(
    ("query", "meant"), [("candel", True), ("candle hoder", True), ("cnd", False), ("spoon", False)]
)
def test_what_was_mistyped_is_shown_as_perhaps_meant(client: Client, query: str, meant: bool) -> None:
    make_product("CANDLE", name="WHITE CANDLE HOLDER")

    page = client.get("/", {"q": query}).text

    assert ("Perhaps you meant one of these" in page) == ("WHITE CANDLE HOLDER" in page) == meant
    assert "Nothing here has all of these words" in page


def test_a_count_of_very_many_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("catalog.search.MAX_COUNT", 3)
    make_products(10)

    assert count_products(find_products()) == 4


def test_list_says_so_when_nothing_is_found_or_sold(client: Client) -> None:
    assert "The shelves are empty" in client.get("/").text
    answer = client.get("/", {"q": "<script>"})
    assert "Nothing here has all of these words" in answer.text
    assert "<script>alert" not in answer.text
    assert "&lt;script&gt;" in answer.text


def test_list_and_search_take_three_queries_and_a_category_one_more(
    client: Client, django_assert_num_queries: Any
) -> None:
    make_products(PAGE_SIZE + 1)
    Product.objects.update(category=make_category("Mugs"))

    with django_assert_num_queries(3):  # how many, the page of them, the categories
        client.get("/")
    with django_assert_num_queries(3):
        client.get("/?q=name&sort=price")
    with django_assert_num_queries(4):
        client.get("/?category=mugs")


def make_category(name: str) -> Category:
    return Category.objects.create(name=name, slug=make_slug(name))


def test_names_are_sorted_without_the_signs_they_begin_with_and_in_any_case(client: Client) -> None:
    names = {"A": "*Boombox", "B": "apron", "C": "'Cup'", "D": "Banner", "E": "100% wool"}
    for sku, name in names.items():
        make_product(sku, name=name)

    assert [names[sku] for sku in skus(client.get("/"))] == ["100% wool", "apron", "Banner", "*Boombox", "'Cup'"]


def test_products_are_sorted_by_price_both_ways_and_page_by_page(client: Client) -> None:
    make_products(PAGE_SIZE + 3)
    Product.objects.filter(sku="S020").update(price=50)
    Product.objects.filter(sku="S003").update(price=900)
    upwards = ["S020", *(f"S{n:03}" for n in range(PAGE_SIZE + 3) if n not in (3, 20)), "S003"]

    pages = [skus(client.get(f"/?sort=price&page={number}")) for number in (1, 2)]
    assert [sku for page in pages for sku in page] == upwards
    assert skus(client.get("/?sort=-price"))[:2] == ["S003", f"S{PAGE_SIZE + 2:03}"]
    assert "?sort=price&amp;page=2" in client.get("/?sort=price").text
    assert skus(client.get("/?sort=sku")) == skus(client.get("/"))


@pytest.mark.parametrize("sort", SORTS.values(), ids=SORTS)
def test_in_each_order_pages_lead_forwards_and_backwards(sort: Sort) -> None:
    make_products(2 * PAGE_SIZE + 3)
    Product.objects.filter(sku__endswith="7").update(price=900)
    every = [product.sku for product in find_products().order_by(*sort.order())]

    first = read_page(find_products(), sort=sort)
    second = read_page(find_products(), sort=sort, after=first.after)
    third = read_page(find_products(), sort=sort, after=second.after)

    assert [product.sku for page in (first, second, third) for product in page.products] == every
    assert (first.before, third.after) == (None, None)
    assert read_page(find_products(), sort=sort, before=third.before).products == second.products


def test_names_are_sorted_by_their_index_also_in_a_statement_that_is_prepared() -> None:
    """Its plan is made for any values. If the signs were one of them, it could not use the index."""
    products = Product.objects.filter(active=True).order_by(*SORTS["name"].order())

    _sql, values = products.query.sql_with_params()

    assert values == ()
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off")
        assert "product_for_sale_by_sort_name" in products.explain()


def test_a_category_shows_what_belongs_to_it_and_keeps_words_and_order(client: Client) -> None:
    mugs, cups = make_category("Mugs & <Jugs>"), make_category("Cups")
    make_product("MUG", name="Red mug", category=mugs)
    make_product("JUG", name="Blue jug", category=mugs)
    make_product("CUP", name="Red cup", category=cups)

    answer = client.get("/?category=mugs-jugs&sort=price")

    assert skus(answer) == ["MUG", "JUG"]
    assert "<h1>Mugs &amp; &lt;Jugs&gt;</h1>" in answer.text
    assert '<a href="/?category=cups&amp;sort=price">Cups</a>' in answer.text
    assert '<a href="/?category=mugs-jugs">Name</a>' in answer.text
    assert skus(client.get("/?q=red&category=mugs-jugs")) == ["MUG"]
    assert {client.get(f"/?category={slug}").status_code for slug in ("nothing", "%00", "Cups")} == {404}
    assert 'href="/?category=mugs-jugs"' in client.get("/products/the-mug/MUG/", follow=True).text


def test_a_category_with_nothing_for_sale_is_not_offered(client: Client) -> None:
    make_product("OLD", category=make_category("Old things"), active=False)
    make_product("MUG", category=make_category("Mugs"))

    answer = client.get("/")

    assert "Old things" not in answer.text
    assert ">Mugs</a>" in answer.text


def test_a_shop_without_categories_shows_none(client: Client) -> None:
    make_product("MUG")

    assert 'class="choices"' not in client.get("/").text


def test_products_outlive_their_category() -> None:
    product = make_product("MUG", category=make_category("Mugs"))

    Category.objects.all().delete()

    product.refresh_from_db()
    assert product.category is None


def test_a_short_word_of_a_name_does_not_break_at_its_hyphen(client: Client) -> None:
    product = make_product("LAMP", name="<RED> T-LIGHT HAND-PAINTED-LAMP")
    whole = '&lt;RED&gt; <span class="whole">T-LIGHT</span> HAND-PAINTED-LAMP'

    assert f">{whole}</a></h2>" in client.get("/").text
    assert f"<h1>{whole}</h1>" in client.get(product.get_absolute_url()).text


@pytest.mark.parametrize(("stock", "text"), [(0, "Sold out"), (1, "Only 1 left"), (5, "Only 5 left"), (12, "In stock")])
def test_product_page_says_how_many_there_are(client: Client, stock: int, text: str) -> None:
    product = make_product("MUG", stock=stock)

    answer = client.get(product.get_absolute_url())

    assert text in answer.text
    assert ("Add to cart" in answer.text) == (stock > 0)


def test_a_sku_is_case_sensitive_and_may_have_any_character(client: Client) -> None:
    upper = make_product("85123A", name="Upper")
    lower = make_product("85123a", name="Lower")
    odd = make_product("a/b?c#d %e&f+\u00e9", name="\uba38\uadf8", slug="")

    assert client.get(upper.get_absolute_url()).context["product"] == upper
    assert client.get(lower.get_absolute_url()).context["product"] == lower
    assert client.get(odd.get_absolute_url()).context["product"] == odd


def test_a_product_has_one_address(client: Client) -> None:
    product = make_product("MUG")

    answer = client.get("/products/anything/MUG/")

    assert (answer.status_code, answer["Location"]) == (301, product.get_absolute_url())


@pytest.mark.parametrize("path", ["/products/x/GHOST/", "/products/x/OLD/", "/products/x/%00/", "/products/x/mug/"])
def test_what_is_not_sold_has_no_page(client: Client, path: str) -> None:
    make_product("MUG")
    make_product("OLD", active=False)

    answer = client.get(path)

    assert answer.status_code == 404
    assert "There is nothing here" in answer.text


def test_every_page_forbids_what_is_inline_or_from_elsewhere(client: Client) -> None:
    for path in ("/", "/nope", "/admin/login/", "/api/orders/x"):
        policy = client.get(path)["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
    page = client.get("/").text
    assert "style=" not in page
    assert page.count("<script") == page.count("<script src=")
