"""Answers a call that changes something once for each key, as draft-ietf-httpapi-idempotency-key-header has it."""

import hashlib
import json
from collections.abc import Callable
from datetime import timedelta
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse
from ninja import Status
from ninja.responses import NinjaJSONEncoder

from api.clients import get_client
from api.models import AnsweredCall
from api.problems import RequestRefused
from purge import delete_in_batches

LOCKED_KEYS = 3  # the first key of an advisory lock; orders.checkout and audit.ledger have others
LOCK = "SELECT pg_try_advisory_xact_lock(%s, hashtext(%s))"


def answer_once(
    request: HttpRequest, key: str, work: Callable[[], Status[Any]], *, keeps: HTTPStatus = HTTPStatus.CREATED
) -> HttpResponse:
    """Do the work and keep its answer in the same transaction, or answer again what was answered under the key.

    A call that is refused, or that changed nothing and so has another status than `keeps`, keeps nothing: anybody can
    send any number of these. The same key may be sent again then. Without a key the work is done each time. Raises
    RequestRefused if the key was used for another body, or while another call with it is under way.
    """
    if not key:
        return _write_answer(work())
    call = AnsweredCall(
        client=get_client(request).name,
        address=request.path,
        key=key,
        body_hash=hashlib.sha256(request.body).hexdigest(),
    )
    with transaction.atomic():
        _lock(call)
        known = AnsweredCall.objects.filter(client=call.client, address=call.address, key=key).first()
        if known is None:
            answer = _write_answer(work())
            if answer.status_code == keeps:
                call.status, call.answer = answer.status_code, answer.text
                call.save()
            return answer
    if known.body_hash != call.body_hash:
        raise RequestRefused("idempotency_key_reused", "Something else was asked for under this key.")
    return HttpResponse(
        known.answer,
        status=known.status,
        content_type="application/json; charset=utf-8",
        headers={"Idempotent-Replayed": "true"},
    )


def delete_old_calls() -> None:
    """Delete what was answered more than KEY_DAYS ago, in batches."""
    long_ago = AnsweredCall.objects.filter(created_at__lt=Now() - timedelta(days=settings.KEY_DAYS))
    delete_in_batches(long_ago, order_by="created_at")


def _lock(call: AnsweredCall) -> None:
    """Until the transaction ends. Not by waiting for the row: each waiting call would hold a thread."""
    with connection.cursor() as cursor:
        cursor.execute(LOCK, [LOCKED_KEYS, json.dumps([call.client, call.address, call.key])])
        [locked] = cursor.fetchone()
    if not locked:
        raise RequestRefused("call_under_way", "Another call with this key is under way.", Retry_After="1")


def _write_answer(done: Status[Any]) -> HttpResponse:
    body = json.dumps(done.value.model_dump(exclude_unset=True), cls=NinjaJSONEncoder)
    return HttpResponse(body, status=done.status_code, content_type="application/json; charset=utf-8")
