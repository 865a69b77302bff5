"""Stands in for a remote provider, outside this machine, that is asked for its list of models."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class ModelListDouble:
    """What the provider answers, and what it was sent; change the attributes to play a fault."""

    def __init__(self) -> None:
        self.url = ""
        self.key = "right-key"
        self.status = 200
        self.headers: dict[str, str] = {}
        self.body: Any = {"object": "list", "data": [{"id": "model-a"}, {"id": "model-b"}]}
        self.authorizations: list[str | None] = []


@contextmanager
def model_list_double() -> Iterator[ModelListDouble]:
    """Serve the double on a free port of 127.0.0.1 for the length of a with block."""
    double = ModelListDouble()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            double.authorizations.append(self.headers.get("Authorization"))
            status = double.status
            if self.path != "/v1/models":
                status = 404
            elif double.key and self.headers.get("Authorization") != f"Bearer {double.key}":
                status = 401
            body = double.body if isinstance(double.body, bytes) else json.dumps(double.body).encode()
            self.send_response(status)
            for name, value in double.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    double.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield double
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
