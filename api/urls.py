"""The URLs of the API. What /api/v1/orders does, /api/orders does as well: it is older than the versions."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.urls import include, path, re_path, register_converter
from django.urls.converters import StringConverter
from django.views.decorators.cache import cache_control
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import conditional_page

from api.fields import CODE_PATTERN
from api.problems import answer_not_found, answer_problem
from api.v1 import v1


class OrderCodeConverter(StringConverter):
    regex = CODE_PATTERN


def answer_in_json(view: Any) -> Callable[..., HttpResponse]:
    """Ninja answers another method, and its own bare address, in plain text."""

    @wraps(view)
    def answer(request: HttpRequest, **kwargs: Any) -> HttpResponse:
        try:
            response: HttpResponse = view(request, **kwargs)
        except Http404:
            return answer_not_found(request)
        if isinstance(response, HttpResponseNotAllowed):
            allowed = response["Allow"]
            return answer_problem("method_not_allowed", f"Use {allowed}.", headers={"Allow": allowed})
        return response

    return answer


only_for_whoever_asked = cache_control(private=True, no_cache=True)
register_converter(OrderCodeConverter, "order_code")
_operations, _app, _namespace = v1.urls
for _operation in _operations:
    # Whoever asks again sends the ETag, and is answered with a 304 until something has changed.
    _operation.callback = only_for_whoever_asked(conditional_page(answer_in_json(_operation.callback)))

urlpatterns = [
    path("v1/", (_operations, _app, _namespace)),
    path("", include([each for each in _operations if str(each.pattern).startswith("orders")])),
    re_path(r"", csrf_exempt(answer_not_found)),
]
