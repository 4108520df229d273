"""Writes a time as HTML: in the shop's zone, which shop.js turns to the reader's."""

from datetime import datetime

from django.utils.html import format_html
from django.utils.safestring import SafeString

from languages import write_time

FORMS = {"moment": "SHORT_DATETIME_FORMAT", "day": "DATE_FORMAT", "time": "TIME_FORMAT"}


def show_time(moment: datetime, shown: str = "moment") -> SafeString:
    """A `<time>` with its zone's name. `shown` is moment, day or time: what of it the reader needs."""
    text = write_time(moment, FORMS[shown])
    return format_html('<time datetime="{}" data-shown="{}">{}</time>', moment.isoformat(), shown, text)
