"""Whatever is sent to whichever endpoint: a quiet refusal, one line in the log, nothing kept."""

import errno
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gradio.routes import App
from starlette.requests import ClientDisconnect
from starlette.testclient import TestClient

from mel_demo.screening import Screener
from mel_demo.ui.orderly import LONGEST_ADDRESS, NO_ROOM, Orderly, log_in_lines
from mel_demo.ui.page import Page
from mel_demo.ui.serving import launch_options
from mel_demo.ui.uploads import uploads

JSON = {"Content-Type": "application/json"}
ODD = (
    *('"\\ud800"', "null", "[]", "{}", '"x"', "-1", "NaN", "1e400", "true", '{"path": {}}'),
    *('{"a": ["\\ud800"]}', "9" * 30),
)
FIELDS = {
    "data": "[null, 0.95]",
    "fn_index": "0",
    "session_hash": '"session"',
    "event_data": '{"x": 0.5, "y": 0.5}',
    "trigger_id": "3",
    "event_id": '"event"',
    "component_id": "3",
    "fn_name": '"judge"',
    "image": "null",
    "target_sensitivity": "0.9",
}
ENDLESS = ("heartbeat", "reload")
"""Streams that last until their reader goes."""


class Door:
    """The app in this process; a failure that leaves it is raised here, as uvicorn would log it."""

    def __init__(self, client: TestClient, caplog: pytest.LogCaptureFixture, capfd: Any) -> None:
        self.app: Any = client.app
        self._client, self._caplog, self._capfd = client, caplog, capfd

    def knock(self, method: str, path: str, **more: Any) -> int:
        """The status, after a look at what was logged and printed."""
        self._caplog.clear()
        answer = self._client.request(method, path, **more)
        case = (method, path, more, answer.status_code)
        assert answer.status_code < 500, case
        for record in self._caplog.records:
            assert not record.exc_info, case
            assert "\n" not in record.getMessage(), case
        assert "Traceback" not in "".join(self._capfd.readouterr()), case
        return answer.status_code


@pytest.fixture(scope="module")
def served(
    tiny_screener: Screener, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[TestClient, Path]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("cache")))
        with uploads() as folder:
            blocks = Page(tiny_screener).build()
            app = App.create_app(blocks, app_kwargs=launch_options()["app_kwargs"])
            with TestClient(app) as client:
                yield client, folder


@pytest.fixture
def door(served: tuple[TestClient, Path], caplog: pytest.LogCaptureFixture, capfd: Any) -> Door:
    return Door(served[0], caplog, capfd)


def endpoints(app: Any, *methods: str) -> list[tuple[str, str]]:
    """Every method and path that is served, with something odd for what stands in braces."""
    return [
        (method.upper(), re.sub(r"\{[^}]*\}", "%ff%00", path))
        for path, kinds in app.openapi()["paths"].items()
        for method in kinds
        if method in methods and not any(name in path for name in ENDLESS)
    ]


def test_no_body_of_whatever_form_is_more_than_refused(door: Door) -> None:
    found = endpoints(door.app, "post", "put")
    assert {"/gradio_api/call/v2/%ff%00", "/gradio_api/component_server"} < {p for _, p in found}
    found += [("POST", f"/gradio_api/{name}/screen") for name in ("call", "call/v2", "run", "api")]
    for method, path in found:
        for body in (*ODD, "", "{", "[" * 5000, '{"data": null}'):
            door.knock(method, path, content=body.encode(), headers=JSON)
        for kind in ("multipart/form-data; boundary=x", "multipart/form-data", "text/\xff"):
            content = b'--x\r\nContent-Disposition: form-data; name="data"\r\n\r\n\xff\r\n--x--'
            door.knock(method, path, content=content, headers={"Content-Type": kind.encode("l1")})


@pytest.mark.parametrize("name", FIELDS)
def test_no_field_of_whatever_kind_is_more_than_refused(door: Door, name: str) -> None:
    for place in ("component_server", "queue/join", "call/screen", "call/v2/screen", "run/screen"):
        for value in (*ODD, None):
            fields = {key: given for key, given in (FIELDS | {name: value}).items() if given}
            body = ", ".join(f'"{key}": {given}' for key, given in fields.items())
            door.knock("POST", f"/gradio_api/{place}", content=f"{{{body}}}", headers=JSON)


def test_no_value_of_a_control_is_more_than_refused(door: Door) -> None:
    config = door.app.get_blocks().config
    sizes = {event["id"]: len(event["inputs"]) for event in config["dependencies"]}
    assert len(sizes) > 20
    for event, inputs in sizes.items():
        for value, count in ((ODD[0], inputs), (ODD[2], inputs), ("null", inputs + 1)):
            data = ", ".join([value] * count)
            body = f'{{"fn_index": {event}, "event_data": {value}, "data": [{data}]}}'
            door.knock("POST", "/gradio_api/run/predict", content=body, headers=JSON)


def test_no_address_and_no_header_is_more_than_refused(door: Door) -> None:
    paths = {path for _, path in endpoints(door.app, "get")}
    paths |= {"/assets/" + "x" * 3000, "/gradio_api/proxy=http://[", "/gradio_api/file=http://["}
    paths |= {"/gradio_api/queue/data?session_hash=none", "/gradio_api/call/screen/none"}
    for path in sorted(paths):
        for method in ("GET", "HEAD", "DELETE"):
            door.knock(method, path)
    for name, value in [
        *(("X-Forwarded-Host", "\xff["), ("X-Forwarded-Proto", "\xff"), ("Host", "[")),
        *(("Cookie", "\xff=\xff"), ("Origin", "http://["), ("Accept-Encoding", "\xff")),
    ]:
        for path in ("/", "/config", "/gradio_api/info", "/manifest.json"):
            door.knock("GET", path, headers={name: value.encode("l1")})


@pytest.mark.parametrize(
    "range_", ["bytes=--1", "bytes=1-2,x", "bytes=0-" + "9" * 5000, "x", "\xff"]
)
def test_an_odd_range_of_a_file_is_refused_or_left_alone(
    door: Door, served: tuple[TestClient, Path], range_: str
) -> None:
    file = served[1] / "a.png"
    file.write_bytes(bytes(3000))
    path = f"/gradio_api/file={file}"
    door.knock("GET", path, headers={"Range": range_.encode("l1")})
    assert door.knock("GET", path, headers={"Range": "bytes=0-9"}) == 206


def test_a_stream_that_has_begun_is_ended(door: Door) -> None:
    """Gradio answers with an event that says so, and then fails."""
    assert door.knock("GET", "/gradio_api/queue/data?session_hash=none") == 200


def test_nothing_long_is_kept_of_a_visitor(door: Door) -> None:
    assert (
        door.knock("GET", "/gradio_api/upload_progress?upload_id=" + "x" * LONGEST_ADDRESS) == 414
    )
    for place in ("queue/join", "run/predict", "component_server"):
        sent = {"session_hash": "x" * 2000, "data": [], "fn_index": 0, "fn_name": "x"}
        body = json.dumps(sent | {"component_id": 3})
        status = door.knock("POST", f"/gradio_api/{place}", content=body, headers=JSON)
        assert status == 422, place
    assert max(map(len, door.app.state_holder.session_data), default=0) < 2000


def answer_to(failure: Exception) -> tuple[int, str]:
    async def failing(scope: Any, receive: Any, send: Any) -> None:
        raise failure

    answer = TestClient(Orderly(failing)).get("/")
    return answer.status_code, answer.json()["detail"]


def test_what_the_server_lacks_is_not_held_against_who_asks() -> None:
    assert answer_to(OSError(errno.ENOSPC, "No space left on device")) == (503, NO_ROOM)
    assert answer_to(MemoryError()) == (503, NO_ROOM)
    assert answer_to(OSError(errno.ENAMETOOLONG, "File name too long"))[0] == 400


def test_the_log_says_where_and_not_what_was_sent(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "mel_demo")
    answer_to(KeyError("Mrs Miller\nforged line"))
    (record,) = (record for record in caplog.records if record.name == "mel_demo")
    assert re.fullmatch(rf"KeyError at {re.escape(__file__)}:\d+", record.getMessage())
    assert not record.exc_info
    caplog.clear()
    caplog.set_level(logging.DEBUG, "mel_demo")
    answer_to(KeyError("x"))
    assert any(record.exc_info for record in caplog.records)


def test_an_upload_that_is_broken_off_is_no_news(caplog: pytest.LogCaptureFixture) -> None:
    assert answer_to(ClientDisconnect())[0] == 408
    assert not [record for record in caplog.records if record.name == "mel_demo"]


def test_what_other_packages_log_is_one_line_too(caplog: pytest.LogCaptureFixture) -> None:
    before = logging.getLogRecordFactory()
    log_in_lines()
    try:
        raise KeyError("Mrs Miller")
    except KeyError:
        logging.getLogger("uvicorn.error").exception("Exception in %s\n", "ASGI application")
        logging.getLogger("other").warning("30 errors:\nfirst\nsecond\n" + "x" * 9999)
        logging.getLogger("other").warning("")
    finally:
        logging.setLogRecordFactory(before)
    first, second, third = (record.getMessage() for record in caplog.records)
    assert first.startswith(f"Exception in ASGI application (KeyError at {__file__}:")
    assert second == "30 errors: ..."
    assert third == ""
    assert not any(record.exc_info for record in caplog.records)
