"""Gives each request an id, which the log's lines, the answer and the tasks that follow have in common."""

import re
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from django.core.signals import request_started
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse
from structlog.contextvars import bind_contextvars, clear_contextvars

WELL_FORMED = re.compile(r"[\w.-]{1,64}", re.ASCII)


class RequestIds:
    """A middleware behind config.proxies.find_client, which leaves X-Request-ID to trusted proxies."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        # Not request.headers: it is read once and kept, so that views would see what the client sent.
        sent = request.META.get("HTTP_X_REQUEST_ID", "")
        request_id = sent if WELL_FORMED.fullmatch(sent) else uuid4().hex
        request.META["HTTP_X_REQUEST_ID"] = request_id
        bind_contextvars(request_id=request_id)
        response = self.get_response(request)
        response.headers["X-Request-ID"] = request_id
        return response

    def process_view(self, _request: HttpRequest, _view: Any, _args: Any, named: dict[str, Any]) -> None:
        if "code" in named:
            bind_contextvars(order=named["code"])


@receiver(request_started)
def forget_last_request(**_: Any) -> None:
    """A thread answers one request after the other."""
    clear_contextvars()
