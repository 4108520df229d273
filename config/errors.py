"""The pages for errors that no view has answered. They say "try again" if that helps."""

import logging
import sys
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseNotAllowed
from django.template.loader import render_to_string
from django.views import defaults

from database_errors import RETRY_AFTER, describe, is_passing

logger = logging.getLogger(__name__)


def answer_error(request: HttpRequest) -> HttpResponseBase:
    """Answer an error of a view, of a middleware, or of the page of another error."""
    error = sys.exception()
    if error and is_passing(error):
        return answer_try_again(request, error)
    return defaults.server_error(request)


def answer_bad_request(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Django's page, or "try again" if the session could not be saved, which Django takes for the client's error."""
    if is_passing(exception):
        return answer_try_again(request, exception)
    return defaults.bad_request(request, exception)


def answer_try_again(request: HttpRequest, error: BaseException) -> HttpResponse:
    """Status 503, with words for people. The page reads nothing from the database, not even the user or the cart."""
    logger.warning("%s %s can't be answered now: %s", request.method, request.path, describe(error))
    page = render_to_string("503.html", {"again": request.get_full_path() if request.method == "GET" else ""})
    response = HttpResponse(page, status=503, headers={"Retry-After": str(RETRY_AFTER), "Cache-Control": "no-store"})
    response._has_been_logged = True  # type: ignore[attr-defined]  # or Django adds a traceback
    return response


def explain_refused_methods(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Give the empty 405 of a view a page: somebody has typed or kept the address of a form."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        if isinstance(response, HttpResponseNotAllowed) and not response.content and request.accepts("text/html"):
            response["Content-Type"] = "text/html; charset=utf-8"
            response.content = render_to_string("405.html").encode()
        return response

    return middleware
