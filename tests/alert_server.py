# SPDX-License-Identifier: MIT
"""A webhook on this machine that keeps what it gets and can refuse or hang."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Webhook:
    """Takes alerts as `json://` URLs of Apprise send them."""

    def __init__(self) -> None:
        self.got: list[dict[str, str]] = []
        self.tries = 0
        self.status = 200
        self.hanging = threading.Event()
        self._free = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.tries += 1
                if outer.hanging.is_set():
                    outer._free.wait(60)
                    return
                if outer.status == 200:
                    outer.got.append(json.loads(body))
                self.send_response(outer.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args):
                pass

        class Quiet(ThreadingHTTPServer):
            def handle_error(self, request, client_address):
                pass

        self._http = Quiet(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        self.url = f"json://127.0.0.1:{self._http.server_port}/hooks/s3cr3t-t0ken"

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self._free.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def titles(self) -> list[str]:
        return [message["title"].split(": ", 1)[1] for message in self.got]


def until(condition, secs=10.0):
    """Wait for a condition; return whether it came."""
    end = time.monotonic() + secs
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True
