"""A page of products as everybody sees it, kept in Redis for some seconds. See docs/adr/0029."""

import json
import time
from collections.abc import Callable
from dataclasses import astuple, dataclass, replace
from hashlib import sha256
from typing import Any, NamedTuple
from urllib.parse import urlencode

import structlog
from django.conf import settings
from django.core.cache import caches
from django.template.loader import render_to_string
from django.utils.translation import get_language, gettext_lazy
from django.utils.translation import gettext as _
from redis import RedisError

from catalog.models import Category
from catalog.search import (
    MAX_COUNT,
    SORTS,
    count_pages,
    count_products,
    find_categories,
    find_products,
    read_numbered_page,
    read_page,
    read_similar_products,
)
from shop.page_numbers import PageNumbers

logger = structlog.stdlib.get_logger(__name__)

PAUSE = 5.0  # seconds
SORT_TITLES = {
    "name": gettext_lazy("Name"),
    "price": gettext_lazy("Lowest price"),
    "-price": gettext_lazy("Highest price"),
}


class PageCache:
    """A cache of Django's that is left alone for PAUSE seconds once it has failed: only few visitors wait for it."""

    def __init__(self, alias: str) -> None:
        self._alias = alias
        self.resume_at = 0.0  # by the monotonic clock

    def read_or_make(self, key: str, make: Callable[[], str], *, seconds: int) -> str:
        """Return what was kept under the key within so many seconds, or make it. 0: always make it."""
        if not seconds:
            return make()
        kept: str | None = self._try("get", key)
        if kept is None:
            kept = make()
            self._try("set", key, kept, seconds)
        return kept

    def _try(self, command: str, *arguments: object) -> Any:
        if time.monotonic() < self.resume_at:
            return None
        try:
            return getattr(caches[self._alias], command)(*arguments)
        except (RedisError, OSError) as error:
            self.resume_at = time.monotonic() + PAUSE
            logger.warning("pages of products are not kept", seconds=PAUSE, reason=str(error))
            return None


page_cache = PageCache("pages")


class Link(NamedTuple):
    title: str
    parameters: str
    is_here: bool


@dataclass(frozen=True)
class Choice:
    """What of the products a visitor wants to see, and in which order: a key of SORTS."""

    query: str = ""
    category: Category | None = None
    sort: str = "name"

    def write_parameters(self, **changed: Any) -> str:
        """The parameters of its address, or of the address of the choice that differs from it by those."""
        choice = replace(self, **changed)
        named = {"q": choice.query, "category": choice.category and choice.category.slug, "sort": choice.sort}
        return urlencode({name: value for name, value in named.items() if value and (name, value) != ("sort", "name")})


@dataclass(frozen=True)
class Place:
    """Which page of a list is asked for: the one with that number, or the one before or after a product's id."""

    number: int = 1
    before: int | None = None
    after: int | None = None


def show_products(choice: Choice, place: Place) -> str:
    """The HTML of one page of the products that match, at most PRODUCT_LIST_AGE seconds old.

    It is for everybody who reads this language. Prices and stock may have changed meanwhile: only look, never sell.
    """
    category = choice.category and choice.category.pk
    shown = json.dumps([settings.VERSION, get_language(), choice.query, category, choice.sort, *astuple(place)])
    return page_cache.read_or_make(
        sha256(shown.encode()).hexdigest(),
        lambda: render_products(choice, place),
        seconds=settings.PRODUCT_LIST_AGE,
    )


def render_products(choice: Choice, place: Place) -> str:
    query, sort = choice.query, SORTS[choice.sort]
    products = find_products(query, category=choice.category)
    count = count_products(products)
    if place.before or place.after:
        page = read_page(products, sort=sort, before=place.before, after=place.after)
    else:
        page = read_numbered_page(products, place.number, count=count, sort=sort)
    parameters = choice.write_parameters()
    context = {
        "query": query,
        "category": choice.category,
        "parameters": f"{parameters}&" if parameters else "",
        "page": page,
        "pages": PageNumbers(page.number, count_pages(count), is_more=count > MAX_COUNT),
        "count": count,
        "max_count": MAX_COUNT,
        "categories": _list_categories(choice),
        "sorts": _list_sorts(choice) if count > 1 else [],
        "similar": read_similar_products(query) if query and not page.products else [],
    }
    return render_to_string("shop/_products.html", context)


def _list_categories(choice: Choice) -> list[Link]:
    """All, and each category that has something for sale. Empty: there is no category to choose."""
    categories = list(find_categories())
    if not categories:
        return []
    everything = Link(_("All"), choice.write_parameters(category=None), choice.category is None)
    return [
        everything,
        *(
            Link(category.name, choice.write_parameters(category=category), category == choice.category)
            for category in categories
        ),
    ]


def _list_sorts(choice: Choice) -> list[Link]:
    return [
        Link(str(title), choice.write_parameters(sort=sort), sort == choice.sort) for sort, title in SORT_TITLES.items()
    ]
