"""A page of products may be seconds old, and nothing else of the shop is."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from django.conf import LazySettings
from django.core.cache import caches
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from catalog.models import Product, Stock
from config.cache import configure_caches
from lab.stack.embedded import valkey
from lab.stack.processes import Supervisor
from lab.stack.sentinels import watched_valkey
from shop import product_pages
from shop.product_pages import PageCache
from tests.builders import make_product
from tests.waiting import wait_for

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _pages_are_kept(settings: LazySettings) -> Iterator[None]:
    settings.PRODUCT_LIST_AGE = 60
    settings.VERSION = f"test {id(settings)}"  # under keys of our own: the server is not ours to empty
    with patch.object(product_pages, "page_cache", PageCache("pages")):
        yield
    open_pages().delete_pattern("*")


def open_pages() -> Any:
    """With the methods that django-redis adds."""
    return caches["pages"]


def count_queries(client: Client, path: str) -> int:
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert client.get(path).status_code == 200
    return len(queries)


def read_twice(page_cache: PageCache, key: str) -> list[str]:
    return [page_cache.read_or_make(key, partial(str, text), seconds=60) for text in ("first", "second")]


def test_a_page_is_read_once_for_all_visitors() -> None:
    make_product("MUG")

    assert [count_queries(Client(), path) for path in ("/", "/", "/?q=mug", "/?q=mug", "/?after=1")] == [3, 0, 3, 0, 4]


def test_a_page_may_be_old_and_the_product_and_its_cart_are_not(client: Client) -> None:
    product = make_product("MUG", stock=3)
    assert "Only 3 left" in client.get("/").text

    Product.objects.update(price=900)
    Stock.objects.update(on_hand=0)

    assert "Only 3 left" in client.get("/").text
    page = client.get(product.get_absolute_url()).text
    assert "Sold out" in page
    assert "£9.00" in page
    assert client.post("/cart/add/", {"sku": "MUG", "quantity": 1}, follow=True).context["cart_count"] == 0


def test_each_language_and_each_search_has_pages_of_its_own(client: Client) -> None:
    make_product("MUG", name="Mug <b>")
    assert "Only 5 left" not in client.get("/").text

    assert "In stock" in client.get("/").text
    assert "In stock" not in client.get("/", headers={"Accept-Language": "ko"}).text
    assert "Mug &lt;b&gt;" in client.get("/", {"q": "mug <b"}).text
    assert "Results for “MUG”" in client.get("/", {"q": "MUG"}).text
    assert "Nothing here has all of these words" in client.get("/", {"q": "spoon"}).text


def test_a_page_is_kept_no_longer_than_it_may_be_old(client: Client) -> None:
    make_product("MUG")
    client.get("/")

    (key,) = open_pages().keys("*")
    assert 0 < open_pages().ttl(key) <= 60


def test_a_shop_that_keeps_no_pages_or_has_no_redis_reads_each(settings: LazySettings) -> None:
    make_product("MUG")
    settings.PRODUCT_LIST_AGE = 0
    assert [count_queries(Client(), "/") for _ in range(2)] == [3, 3]

    settings.PRODUCT_LIST_AGE = 60
    with patch.dict(caches.settings, {"none": configure_caches("", prefix="")["pages"]}):
        none = PageCache("none")
        assert read_twice(none, "key") == ["first", "second"]


def test_pages_are_kept_behind_sentinels(tmp_path: Path) -> None:
    processes, url = watched_valkey(tmp_path / "valkey", log=tmp_path / "log")
    with (
        Supervisor() as supervisor,
        patch.dict(caches.settings, {"watched": configure_caches(url, prefix="")["pages"]}),
    ):
        supervisor.start(*processes)
        page_cache = PageCache("watched")
        wait_for(lambda: len(set(read_twice(page_cache, "key"))) == 1, "the replica, which is read, to have the page")


def test_a_redis_that_fails_is_asked_once_and_left_alone_for_a_while(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    process, url = valkey(tmp_path / "valkey", log=tmp_path / "log")
    with Supervisor() as supervisor, patch.dict(caches.settings, {"own": configure_caches(url, prefix="")["pages"]}):
        page_cache = PageCache("own")
        supervisor.start(process)
        assert read_twice(page_cache, "key") == ["first", "first"]

        supervisor.stop(process)
        assert read_twice(page_cache, "key") == ["first", "second"]
        assert len(caplog.records) == 1  # one visitor has waited for it

        supervisor.start(process)
        assert read_twice(page_cache, "new") == ["first", "second"]
        page_cache.resume_at = 0.0
        assert read_twice(page_cache, "new") == ["first", "first"]
