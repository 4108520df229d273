"""What HTTP asks of every address of the API alike: its methods, the size of a body, and what caches may do."""

from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.views.decorators.cache import cache_control
from django.views.decorators.http import conditional_page, require_safe

from api.fields import MAX_LINES
from api.problems import answer_not_found, answer_problem, answer_too_large
from body_length import BadBodyLength, read_body_length

View = Callable[..., HttpResponse]

LARGEST_BODY = 64 * 2**10  # bytes
LINE = 128  # bytes; a line with the longest SKU has less
LARGEST_WITH_LINES = LARGEST_BODY + MAX_LINES * LINE

only_for_whoever_asked = cache_control(private=True, no_cache=True)


def follow_protocol(view: Any, *, largest_body: int = LARGEST_BODY, is_page: bool = False) -> View:
    """The view as one of the API's; `is_page`: one of ninja's own pages, which would answer any method.

    A body that is too long is refused before anything reads it. HEAD is answered wherever GET is, and OPTIONS
    everywhere. Whoever asks again sends the ETag, and is answered with a 304 until something has changed.
    """
    served = require_safe(view) if is_page else view
    answer = _answer_head(only_for_whoever_asked(conditional_page(_answer_in_json(served))))

    @wraps(view)
    def check_size(request: HttpRequest, **kwargs: Any) -> HttpResponse:
        try:
            if read_body_length(request) > largest_body:
                return answer_too_large(request)
        except BadBodyLength:
            return answer_problem("bad_content_length", "Content-Length: send a whole number of bytes.")
        return answer(request, **kwargs)

    return check_size


def _answer_in_json(view: View) -> View:
    """Ninja answers another method, and its own bare address, in plain text."""

    @wraps(view)
    def answer(request: HttpRequest, **kwargs: Any) -> HttpResponse:
        try:
            response = view(request, **kwargs)
        except Http404:
            return answer_not_found(request)
        if isinstance(response, HttpResponseNotAllowed):
            return _answer_other_method(request, response["Allow"])
        return response

    return answer


def _answer_other_method(request: HttpRequest, allowed: str) -> HttpResponse:
    methods = {*allowed.split(", "), "OPTIONS"}
    if "GET" in methods:
        methods.add("HEAD")
    headers = {"Allow": ", ".join(sorted(methods))}
    if request.method == "OPTIONS":
        return HttpResponse(status=HTTPStatus.NO_CONTENT, headers=headers)
    return answer_problem("method_not_allowed", f"Use {headers['Allow']}.", headers=headers)


def _answer_head(view: View) -> View:
    """To whatever is below, it is a GET."""

    @wraps(view)
    def answer(request: HttpRequest, **kwargs: Any) -> HttpResponse:
        if request.method != "HEAD":
            return view(request, **kwargs)
        request.method = "GET"
        response = view(request, **kwargs)
        if response.content:
            response["Content-Length"] = str(len(response.content))
            response.content = b""
        return response

    return answer
