"""The URLs of the API. What /api/v1/orders does, /api/orders does as well: it is older than the versions."""

from django.urls import include, path, re_path, register_converter
from django.urls.converters import StringConverter
from django.views.decorators.csrf import csrf_exempt

from api.fields import CODE_PATTERN
from api.problems import answer_not_found
from api.protocol import LARGEST_BODY, LARGEST_WITH_LINES, follow_protocol
from api.v1 import v1


class OrderCodeConverter(StringConverter):
    regex = CODE_PATTERN


register_converter(OrderCodeConverter, "order_code")
PAGES = {"", "openapi.json", "docs"}  # of ninja's own
HAVE_LINES = {"orders", "orders/<order_code:code>/refunds"}
_operations, _app, _namespace = v1.urls
for _operation in _operations:
    _operation.callback = follow_protocol(
        _operation.callback,
        largest_body=LARGEST_WITH_LINES if str(_operation.pattern) in HAVE_LINES else LARGEST_BODY,
        is_page=str(_operation.pattern) in PAGES,
    )

urlpatterns = [
    path("v1/", (_operations, _app, _namespace)),
    path("", include([each for each in _operations if str(each.pattern).startswith("orders")])),
    re_path(r"", csrf_exempt(answer_not_found)),
]
