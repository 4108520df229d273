"""A WSGI application that tells what the server gave it; after a second where the path is /slow."""

import json
import os
import time
from typing import Any

from config import buffering

buffering.REQUEST_WITHIN = 1.0


def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    if environ["PATH_INFO"] == "/slow":
        time.sleep(1)
    told = {name: environ.get(name) for name in ("REMOTE_ADDR", "HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_PROTO")}
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    answer = {**told, "scheme": environ["wsgi.url_scheme"], "pid": os.getpid(), "length": len(body)}
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(answer).encode()]
