"""A static host on loopback, as the page on the phone is served: plain files, and their headers."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

ISOLATED = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
}


@dataclass
class Host:
    """Where it answers, and how to make it go away before the block ends."""

    url: str
    stop: "callable"


@contextmanager
def static_host(folder: Path, isolated: bool = True) -> Iterator[Host]:
    """Serve ``folder`` on a free port; ``isolated``: with the headers that threads need."""

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, directory=folder, **kwargs)

        def end_headers(self):
            for name, value in ISOLATED.items() if isolated else ():
                self.send_header(name, value)
            super().end_headers()

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()

    def stop() -> None:
        server.shutdown()
        server.server_close()

    try:
        yield Host(f"http://127.0.0.1:{server.server_port}", stop)
    finally:
        stop()
