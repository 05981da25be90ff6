"""A model server for the scenarios: slow to load if told so, and it says which pod answered.

Environment: POD_IP (all addresses), MODEL_PORT (8080), MODEL_LOAD_SECONDS (0: ready at once), MODEL_SECONDS (how long an answer takes),
MODEL_COLD_CALLS (so many first calls by POST are slow), MODEL_COLD_SECONDS (how slow), MODEL_FAILS (of so many answers
every one is a failure: 0 none, 1 all, 3 every third), MODEL_AT_ONCE (so many answers are made at a time, others wait).

It counts for itself: `/counts` tells the requests of warm-ups and of people, and of those the ones that came while it
was cold; and the seconds that the first hundred real ones took, and the hundred after them. `/crash` ends the process.
"""

import json
import os
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

STARTED = time.monotonic()
LOAD_SECONDS = float(os.environ.get("MODEL_LOAD_SECONDS", "0"))
SECONDS = float(os.environ.get("MODEL_SECONDS", "0"))
COLD_SECONDS = float(os.environ.get("MODEL_COLD_SECONDS", "0.3"))
AT_ONCE = threading.Semaphore(int(os.environ.get("MODEL_AT_ONCE", "1000")))
FAILS = int(os.environ.get("MODEL_FAILS", "0"))
COUNTS: dict[str, int] = {
    "warmup": 0,
    "real": 0,
    "answers": 0,
    "realWhileCold": 0,
    "cold": int(os.environ.get("MODEL_COLD_CALLS", "0")),
}
FIRST: list[float] = []
NEXT: list[float] = []
LOCK = threading.Lock()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/v2/health/ready" and time.monotonic() - STARTED < LOAD_SECONDS:
            self.answer(503, {"ready": False})
            return
        if self.path == "/crash":
            os._exit(1)
        if self.path == "/counts":
            self.answer(200, {**COUNTS, "started": STARTED, "first": FIRST, "next": NEXT})
            return
        if self.path != "/v2/health/ready":
            with AT_ONCE:
                time.sleep(SECONDS)
        with LOCK:
            COUNTS["answers"] += 1
            has_failed = FAILS > 0 and COUNTS["answers"] % FAILS == 0
        if has_failed and self.path != "/v2/health/ready":
            self.answer(500, {"version": os.environ.get("MODEL_VERSION", "")})
            return
        self.answer(200, {"pod": os.environ.get("HOSTNAME", ""), "version": os.environ.get("MODEL_VERSION", "")})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        with LOCK:
            is_cold = COUNTS["cold"] > 0
            COUNTS["cold"] -= is_cold
            kind = "warmup" if "x-tidegate-warmup" in self.headers else "real"
            COUNTS[kind] += 1
            COUNTS["realWhileCold"] += is_cold and kind == "real"
        began = time.monotonic()
        time.sleep(COLD_SECONDS if is_cold else 0)
        self.do_GET()
        if kind == "real":
            times = FIRST if len(FIRST) < 100 else NEXT
            if len(times) < 100:
                times.append(time.monotonic() - began)

    def answer(self, status: int, body: dict[str, object]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Say nothing: the gateways log every request."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512


def main() -> None:
    server = Server((os.environ.get("POD_IP", ""), int(os.environ.get("MODEL_PORT", "8080"))), Handler)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    server.serve_forever()
    sys.exit(0)


if __name__ == "__main__":
    main()
