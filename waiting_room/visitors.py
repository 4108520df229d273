"""Who waits: a random name in a signed cookie. It needs no session, so nothing is read from the database."""

import hashlib
import secrets
from collections.abc import Callable
from functools import wraps

from django.conf import settings
from django.core import signing
from django.http import HttpRequest, HttpResponse

View = Callable[..., HttpResponse]
COOKIE = "waiting"
SALT = "waiting_room"
AGE = 24 * 3600  # seconds


def name_program(key: str) -> str:
    """The name of a client that keeps no cookies, from a key that it chose. It is no name that a cookie could have."""
    return f"program:{hashlib.sha256(key.encode()).hexdigest()}"


def find_visitor(request: HttpRequest) -> str:
    """The visitor's name, which is made and put with the request if it has none: an old or a forged one is none."""
    signer = signing.TimestampSigner(salt=SALT)
    try:
        return signer.unsign(request.COOKIES.get(COOKIE, ""), max_age=AGE)
    except signing.BadSignature:
        visitor = secrets.token_urlsafe(16)
        request.COOKIES[COOKIE] = signer.sign(visitor)
        return visitor


def replace_visitor(request: HttpRequest) -> None:
    """Make another name for the visitor, who has no place yet by it."""
    request.COOKIES.pop(COOKIE, None)
    find_visitor(request)


def remember_visitor(view: View) -> View:
    """Let the answer of a view have the cookie, if the visitor's name was made meanwhile."""

    @wraps(view)
    def answer(request: HttpRequest, **kwargs: str) -> HttpResponse:
        given = request.COOKIES.get(COOKIE)
        response = view(request, **kwargs)
        cookie = request.COOKIES.get(COOKIE)
        if cookie and cookie != given:
            secure = settings.SESSION_COOKIE_SECURE
            response.set_cookie(COOKIE, cookie, max_age=AGE, secure=secure, httponly=True, samesite="Lax")
        return response

    return answer
