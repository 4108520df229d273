"""Pages for errors that no view has answered. They say "try again" if that helps; otherwise what to name to us."""

import sys
from collections.abc import Callable

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseNotAllowed
from django.template.loader import render_to_string
from django.views import defaults

from database_errors import RETRY_AFTER, describe, is_passing

logger = structlog.stdlib.get_logger(__name__)


def answer_error(request: HttpRequest) -> HttpResponseBase:
    """Answer an error of a view, of a middleware, or of the page of another error."""
    error = sys.exception()
    if error and is_passing(error):
        return answer_try_again(request, error)
    return HttpResponse(render_error(request), status=500, headers={"Cache-Control": "no-store"})


def render_error(request: HttpRequest) -> str:
    """The page names the request, whose lines the log has. It has the cart and the account, if these can be read."""
    told = {"number": request.META.get("HTTP_X_REQUEST_ID", ""), "reported": bool(settings.SENTRY_DSN)}
    try:
        return render_to_string("500.html", told, request=request)
    except Exception as error:  # they may be what is broken
        logger.warning("the page of an error has neither cart nor account", reason=describe(error))
        return render_to_string("500.html", told)


def answer_bad_request(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Django's page, or "try again" if the session could not be saved, which Django takes for the client's error."""
    if is_passing(exception):
        return answer_try_again(request, exception)
    return defaults.bad_request(request, exception)


def answer_try_again(request: HttpRequest, error: BaseException) -> HttpResponse:
    """Status 503, with words for people. The page reads nothing from the database, not even the user or the cart."""
    logger.warning("a request can't be answered now", method=request.method, path=request.path, reason=describe(error))
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
