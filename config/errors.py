"""The page for an error that no view has answered: "try again" where that helps, otherwise Django's own."""

import logging
import sys

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.template.loader import render_to_string
from django.views import defaults

from database_errors import RETRY_AFTER, describe, is_passing

logger = logging.getLogger(__name__)


def answer_error(request: HttpRequest) -> HttpResponseBase:
    """The handler of whatever is raised: in a view, a middleware, or while another error's page is written."""
    error = sys.exception()
    if error and is_passing(error):
        return answer_try_again(request, error)
    return defaults.server_error(request)


def answer_bad_request(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Django's page, or "try again" where the session could not be saved, which Django takes for the client's error."""
    if is_passing(exception):
        return answer_try_again(request, exception)
    return defaults.bad_request(request, exception)


def answer_try_again(request: HttpRequest, error: BaseException) -> HttpResponse:
    """503 with words. It reads nothing from the database: neither who asks, nor the cart."""
    logger.warning("%s %s can't be answered now: %s", request.method, request.path, describe(error))
    page = render_to_string("503.html", {"again": request.get_full_path() if request.method == "GET" else ""})
    response = HttpResponse(page, status=503, headers={"Retry-After": str(RETRY_AFTER), "Cache-Control": "no-store"})
    response._has_been_logged = True  # type: ignore[attr-defined]  # or Django adds a traceback
    return response
