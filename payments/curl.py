"""HTTP for the provider's SDK with libcurl, whose time limit is the whole request's: name, connect, head and body."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO

import pycurl
import stripe

LARGEST_BODY = 20_000_000  # bytes; the largest page of a list has less than a million


class CurlClient(stripe.HTTPClient):
    """Serves all threads, each with a connection that is kept open. Proxies are taken from the environment."""

    name = "pycurl"

    def __init__(self, *, timeout: float) -> None:
        super().__init__()
        self._timeout = timeout  # seconds
        self._local = threading.local()

    @contextmanager
    def deadline(self, seconds: float | None = None) -> Iterator[None]:
        """All requests of this thread inside get together so much time: without a number, what one gets otherwise.

        One inside another has its own time, and takes none of the other's.
        """
        outer, begun = getattr(self._local, "until", None), time.monotonic()
        self._local.until = begun + (self._timeout if seconds is None else seconds)
        try:
            yield
        finally:
            self._local.until = None if outer is None else outer + time.monotonic() - begun

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        post_data: str | None = None,
        *,
        _usage: list[str] | None = None,
    ) -> tuple[str, int, Mapping[str, str]]:
        """The body, the status and the headers, their names in lower case. Raises stripe.APIConnectionError."""
        curl, received = self._prepare(method, url, headers or {}, post_data), Headers()
        curl.setopt(pycurl.HEADERFUNCTION, received.read_line)
        curl.setopt(pycurl.TIMEOUT_MS, max(1, int(self._seconds_left() * 1000)))  # 0 would be no limit
        try:
            body = curl.perform_rb()
        except pycurl.error as error:
            raise stripe.APIConnectionError(str(error.args[-1])) from error  # type: ignore[no-untyped-call]
        return body.decode(errors="replace"), curl.getinfo(pycurl.RESPONSE_CODE), received.fields

    def _prepare(self, method: str, url: str, headers: Mapping[str, str], post_data: str | None) -> pycurl.Curl:
        if not hasattr(self._local, "curl"):
            self._local.curl = pycurl.Curl()
        curl: pycurl.Curl = self._local.curl
        curl.reset()  # the options, not the connection
        curl.setopt(pycurl.URL, url)
        if post_data is not None:
            # Not POSTFIELDS: on a kept connection that dies libcurl would send those again, uncounted.
            body = post_data.encode()
            curl.setopt(pycurl.POST, 1)
            curl.setopt(pycurl.POSTFIELDSIZE, len(body))
            curl.setopt(pycurl.READFUNCTION, BytesIO(body).read)
        curl.setopt(pycurl.CUSTOMREQUEST, method.upper())
        curl.setopt(pycurl.HTTPHEADER, [f"{name}: {value}" for name, value in headers.items()])
        curl.setopt(pycurl.CAINFO, stripe.ca_bundle_path)
        curl.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)
        curl.setopt(pycurl.MAXFILESIZE, LARGEST_BODY)
        curl.setopt(pycurl.NOSIGNAL, 1)  # a time limit by signals would end a process that has threads
        return curl

    def _seconds_left(self) -> float:
        until: float | None = getattr(self._local, "until", None)
        return self._timeout if until is None else until - time.monotonic()


class Headers:
    """Those of the last answer: an interim one, or a proxy's, may come before it."""

    def __init__(self) -> None:
        self.fields: dict[str, str] = {}

    def read_line(self, line: bytes) -> None:
        name, colon, value = line.decode("latin-1").partition(":")
        if name.startswith("HTTP/"):
            self.fields = {}
        elif colon:
            self.fields[name.strip().lower()] = value.strip()
