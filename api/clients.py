"""Who sends a request: a program with a token, a customer or one of the staff with a session, or a guest."""

from typing import NamedTuple

from django.conf import settings
from django.http import HttpRequest
from ninja.security import APIKeyCookie
from ninja.security.base import AuthBase
from ninja.utils import check_csrf

from accounts.models import ApiToken, User
from accounts.tokens import find_token, shows_token
from api.problems import RequestRefused, refuse_client

Scope = ApiToken.Scope
# What staff may do in the admin, they may do here.
PERMISSIONS = {
    Scope.ORDERS: "orders.view_order",
    Scope.REFUNDS: "orders.refund_order",
    Scope.STOCK: "catalog.change_stock",
    Scope.EVENTS: "orders.view_orderevent",
}


class Client(NamedTuple):
    """`name` is empty for a guest; `scopes` are those of a token, or what staff may do."""

    name: str
    scopes: frozenset[str] = frozenset()
    user: User | None = None


class Token(AuthBase):
    """A bearer token, which staff make in the admin."""

    openapi_type = "http"
    openapi_scheme = "bearer"

    def __call__(self, request: HttpRequest) -> Client | None:
        """Raises RequestRefused for a token that the shop does not know."""
        if "Authorization" not in request.headers:
            return None
        if shows_token(request, settings.API_REFUND_TOKENS):
            return Client("settings", frozenset({Scope.UNLIMITED, Scope.REFUNDS}))
        if shows_token(request, settings.API_TOKENS):
            return Client("settings", frozenset({Scope.UNLIMITED}))
        if token := find_token(request):
            return Client(f"token {token.pk}", frozenset(token.scopes))
        raise refuse_client()


class Session(APIKeyCookie):
    """The cookie of somebody who is logged in to the shop. To change something, send its CSRF token as well.

    A request without that token is a guest's: any page on the web can let a browser send the cookie.
    """

    param_name = settings.SESSION_COOKIE_NAME

    def authenticate(self, request: HttpRequest, key: str | None) -> Client | None:
        user = request.user if key else None
        if not isinstance(user, User) or not _has_csrf_token(request):
            return None
        scopes = {scope for scope, permission in PERMISSIONS.items() if user.is_staff and user.has_perm(permission)}
        return Client(f"user {user.pk}", frozenset(scopes), user)


def _has_csrf_token(request: HttpRequest) -> bool:
    _kept = request.body  # first: once the token was looked for in a form, nobody could read the body any more
    return not check_csrf(request)


def be_guest(_request: HttpRequest) -> Client:
    return Client("")


KNOWN = [Token(), Session(csrf=False)]  # with its own check ninja would refuse what may be a guest's
ANYBODY = [*KNOWN, be_guest]


def get_client(request: HttpRequest) -> Client:
    return request.auth  # type: ignore[attr-defined, no-any-return]  # ninja puts it there


def check_scope(request: HttpRequest, scope: ApiToken.Scope) -> Client:
    """Return the client. Raises RequestRefused, unless it may do what the scope names."""
    client = get_client(request)
    if scope in client.scopes:
        return client
    raise refuse_scope(scope) if client.name else refuse_client()


def refuse_scope(scope: ApiToken.Scope) -> RequestRefused:
    if scope == Scope.REFUNDS:  # its code is older than the scopes
        return RequestRefused("may_not_refund", "This client may not refund orders: it needs the scope refunds.")
    return RequestRefused("missing_scope", f"This needs the scope {scope.value}.")
