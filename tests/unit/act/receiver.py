"""A real HTTP server on loopback that keeps what webhooks send, and answers as told."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Receiver:
    """Takes calls; `answers` are the statuses of the next ones, then 200."""

    def __init__(self) -> None:
        self.calls: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[int] = []
        self.came = threading.Condition()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                with outer.came:
                    said = {name.lower(): value for name, value in self.headers.items()}
                    outer.calls.append((said, body))
                    status = outer.answers.pop(0) if outer.answers else 200
                    outer.came.notify_all()
                self.send_response(status)
                if status == 302:
                    self.send_header("location", outer.url)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/hook?x=1"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def wait(self, calls: int) -> list[dict[str, Any]]:
        """Wait for as many calls and return their bodies."""
        with self.came:
            assert self.came.wait_for(lambda: len(self.calls) >= calls, 10), self.calls
            return [json.loads(body) for _, body in self.calls]

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()
