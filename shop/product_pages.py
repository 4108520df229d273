"""A page of products as everybody sees it, kept in Redis for some seconds. See docs/adr/0029."""

import json
import time
from collections.abc import Callable
from dataclasses import astuple, dataclass
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode

import structlog
from django.conf import settings
from django.core.cache import caches
from django.template.loader import render_to_string
from django.utils.translation import get_language
from redis import RedisError

from catalog.search import (
    MAX_COUNT,
    count_pages,
    count_products,
    find_products,
    read_numbered_page,
    read_page,
    read_similar_products,
)
from shop.page_numbers import PageNumbers

logger = structlog.stdlib.get_logger(__name__)

PAUSE = 5.0  # seconds


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


@dataclass(frozen=True)
class Place:
    """Which page of a list is asked for: the one with that number, or the one before or after a product's id."""

    number: int = 1
    before: int | None = None
    after: int | None = None


def show_products(query: str, place: Place) -> str:
    """The HTML of one page of the products that match, at most PRODUCT_LIST_AGE seconds old.

    It is for everybody who reads this language. Prices and stock may have changed meanwhile: only look, never sell.
    """
    shown = json.dumps([settings.VERSION, get_language(), query, *astuple(place)])
    return page_cache.read_or_make(
        sha256(shown.encode()).hexdigest(),
        lambda: render_products(query, place),
        seconds=settings.PRODUCT_LIST_AGE,
    )


def render_products(query: str, place: Place) -> str:
    products = find_products(query)
    count = count_products(products)
    if place.before or place.after:
        page = read_page(products, before=place.before, after=place.after)
    else:
        page = read_numbered_page(products, place.number, count=count)
    words = f"{urlencode({'q': query})}&" if query else ""
    pages = PageNumbers(page.number, count_pages(count), is_more=count > MAX_COUNT)
    context = {"query": query, "words": words, "page": page, "pages": pages, "count": count, "max_count": MAX_COUNT}
    if query and not page.products:
        context["similar"] = read_similar_products(query)
    return render_to_string("shop/_products.html", context)
