"""Those who talk to a running server: programs by its API, and tabs of browsers by its events.

By http.client alone, so that a crowd of them costs the machine little.
"""

import http.client
import io
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

ROOT = Path(__file__).resolve().parents[1]
PATIENCE = 120
"""Seconds."""


@dataclass(frozen=True)
class Server:
    """``app.py`` in a process of its own."""

    url: str
    pid: int

    def megabytes(self) -> float:
        """Resident memory."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        (line,) = (line for line in lines if line.startswith("VmRSS"))
        return round(int(line.split()[1]) / 1000, 1)

    def cpu_seconds(self) -> float:
        """What it has used so far, of all cores."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def serving(weights: Path) -> Iterator[Server]:
    """A server on ``weights`` at a free port, from its first answer on."""
    with tempfile.TemporaryDirectory() as folder, serving_at(weights, free_port(), folder) as found:
        yield found


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def serving_at(weights: Path, port: int, folder: str) -> Iterator[Server]:
    """The same at ``port``, with uploads below ``folder``."""
    url = f"http://127.0.0.1:{port}"
    more = {"GRADIO_SERVER_PORT": str(port), "GRADIO_TEMP_DIR": folder}
    environment = os.environ | more | {"MEL_WEIGHTS": str(weights)}
    process = subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=environment)
    try:
        for _ in range(100 * PATIENCE):
            try:
                urllib.request.urlopen(url, timeout=5).close()
                break
            except OSError:
                time.sleep(0.01)
        yield Server(url, process.pid)
    finally:
        process.terminate()
        process.wait(timeout=60)


class Caller:
    """A program that uploads a file, calls an endpoint and waits for its answer."""

    def __init__(self, url: str) -> None:
        self._host = urlparse(url).netloc
        self._line = http.client.HTTPConnection(self._host, timeout=PATIENCE)

    def ask(self, path: str, body: bytes | None = None, kind: str = "application/json") -> bytes:
        """The answer's body; RuntimeError unless all is well."""
        method = "GET" if body is None else "POST"
        headers = {} if body is None else {"Content-Type": kind}
        self._line.request(method, path, body, headers)
        answer = self._line.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{path}: {answer.status} {content[:300]!r}")
        return content

    def post(self, path: str, values: Any) -> Any:
        """The answer to JSON, which is JSON."""
        return json.loads(self.ask(path, json.dumps(values).encode()))

    def send(self, data: bytes) -> dict[str, Any]:
        """An upload as events take it."""
        file = io.BytesIO()
        head = 'Content-Disposition: form-data; name="files"; filename="image.jpg"'
        file.write(f"--border\r\n{head}\r\n\r\n".encode() + data + b"\r\n--border--\r\n")
        kind = "multipart/form-data; boundary=border"
        (path,) = json.loads(self.ask("/gradio_api/upload", file.getvalue(), kind))
        return {"path": path, "meta": {"_type": "gradio.FileData"}}

    def screen(self, data: bytes) -> None:
        """One screening by /screen."""
        sent = {"data": [self.send(data), 0.95]}
        event = self.post("/gradio_api/call/screen", sent)["event_id"]
        answer = self.ask(f"/gradio_api/call/screen/{event}")
        if b"event: complete" not in answer or b"melanoma_probability" not in answer:
            raise RuntimeError(f"no screening: {answer[:300]!r}")


class Tab(Caller):
    """The page in a tab: the events that it sends, in their order, as its configuration says."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._session = uuid.uuid4().hex
        config = json.loads(self.ask("/config"))
        self._parts = {part["id"]: part for part in config["components"]}
        self._events = {event["id"]: event for event in config["dependencies"]}

    def load(self) -> None:
        """What opening the page makes of it."""
        (first,) = (
            key
            for key, event in self._events.items()
            if any(name == "load" for _, name in event["targets"])
        )
        self._follow(first, {})

    def upload(self, data: bytes) -> None:
        """An image, until its verdict and pictures are there."""
        (part,) = (
            key for key, part in self._parts.items() if part["props"].get("elem_id") == "upload"
        )
        (event,) = (
            key for key, event in self._events.items() if [part, "change"] in event["targets"]
        )
        answers = self._follow(event, {part: self.send(data)})
        if "data:image/webp" not in answers and "refused" not in answers:
            raise RuntimeError(f"no verdict: {answers[:300]}")

    @contextmanager
    def open(self) -> Iterator[None]:
        """The tab stays open: its heartbeat is listened to."""
        line = http.client.HTTPConnection(self._host, timeout=PATIENCE)
        line.request("GET", f"/gradio_api/heartbeat/{self._session}")
        answer = line.getresponse()
        listening = threading.Thread(target=self._listen, args=(answer,), daemon=True)
        listening.start()
        yield
        line.sock.shutdown(socket.SHUT_RDWR)
        listening.join()

    @staticmethod
    def _listen(answer: http.client.HTTPResponse) -> None:
        try:
            while answer.readline():
                pass
        except (OSError, http.client.HTTPException, ValueError):
            pass

    def _follow(self, event: int, values: dict[int, Any]) -> str:
        """An event and those that follow it; their answers."""
        answers = self._send(event, values) if self._events[event]["backend_fn"] else ""
        for key, later in self._events.items():
            if later["trigger_after"] == event:
                answers += self._follow(key, values)
        return answers

    def _send(self, event: int, values: dict[int, Any]) -> str:
        inputs = self._events[event]["inputs"]
        given = [values.get(key, self._parts[key]["props"].get("value")) for key in inputs]
        sent = {"data": given, "fn_index": event, "session_hash": self._session}
        if not self._events[event]["queue"]:
            return self.ask("/gradio_api/run/predict", json.dumps(sent).encode()).decode()
        self.post("/gradio_api/queue/join", sent)
        answer = self.ask(f"/gradio_api/queue/data?session_hash={self._session}").decode()
        if '"success":true' not in answer:
            raise RuntimeError(f"event {event} failed: {answer[:300]}")
        return answer
