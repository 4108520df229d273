"""The Content-Security-Policy of every page: nothing but our own files, and nothing inline."""

from collections.abc import Callable, Mapping, Sequence

from django.http import HttpRequest, HttpResponse

POLICY = {
    "default-src": ["'none'"],
    "script-src": ["'self'"],
    "style-src": ["'self'"],
    "img-src": ["'self'", "data:"],  # the admin's stylesheet has an icon of that kind
    "connect-src": ["'self'"],
    "form-action": ["'self'"],
    "frame-ancestors": ["'none'"],
    "base-uri": ["'none'"],
}


def add_content_security_policy(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """A page that has a provider's form in it names the sources of that form: it alone may use them."""

    own = write_policy({})  # the same on most pages, so it is written once

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        sources = getattr(response, "content_sources", {})
        response.headers.setdefault("Content-Security-Policy", write_policy(sources) if sources else own)
        return response

    return middleware


def write_policy(sources: Mapping[str, Sequence[str]]) -> str:
    """Our own policy, with `sources` allowed beside it, by directive."""
    directives = {name: [*POLICY.get(name, []), *sources.get(name, [])] for name in POLICY | dict(sources)}
    return "; ".join(" ".join([name, *values]) for name, values in directives.items())
