"""The page as a server: headers, uploads that do not outlive it, sessions that stay small."""

import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from types import SimpleNamespace
from urllib.error import HTTPError

import pytest
from gradio.routes import App
from gradio.utils import get_icon_path
from gradio_client import Client, handle_file
from PIL import Image
from starlette.testclient import TestClient

from mel_demo.ui import serving, sessions
from mel_demo.ui.page import Page
from mel_demo.ui.sessions import Sessions
from mel_demo.ui.uploads import SECONDS, forget, uploads
from tests.support.lesions import draw_lesion
from tests.support.running import ROOT, Running, free_port, running_app


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def app(tiny_weights, cache):
    with running_app(tiny_weights, cache) as running:
        yield running


@pytest.fixture(scope="module")
def picture(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("picture") / "lesion.png"
    draw_lesion("mel", seed=3).save(path)
    return path


def fetch(url: str, data: bytes | None = None) -> tuple[int, dict[str, str], bytes]:
    """Status, headers with small names, and body."""
    kind = {"Content-Type": "application/json"} if data is not None else {}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, kind), timeout=30) as answer:
            status, headers, body = answer.status, answer.headers, answer.read()
    except HTTPError as error:
        status, headers, body = error.code, error.headers, error.read()
    return status, {name.lower(): value for name, value in headers.items()}, body


def upload(app: Running, picture: Path) -> str:
    """The address of an uploaded file."""
    boundary = "----boundary"
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="files"; filename="lesion.png"'
    body = f"{head}\r\n\r\n".encode() + picture.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
    request = urllib.request.Request(
        f"{app.url}/gradio_api/upload",
        body,
        {"Content-Type": f"multipart/form-data; boundary={boundary}"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return f"/gradio_api/file={json.load(answer)[0]}"


def test_every_answer_is_safe_in_a_browser(app, picture):
    uploaded = upload(app, picture)
    for path in ("/", "/config", "/theme.css", "/drawings/nevus.jpg", "/none", uploaded):
        _, headers, _ = fetch(app.url + path)
        assert headers["x-content-type-options"] == "nosniff", path
        assert headers["referrer-policy"] == "no-referrer", path
        policy = headers["content-security-policy"]
        assert "default-src 'self'" in policy, path
        assert "frame-ancestors 'self' https://huggingface.co" in policy, path
        assert "https://*.hf.space" in policy


def test_nothing_that_holds_an_upload_is_kept_by_a_browser_or_proxy(app, picture):
    client = Client(app.url, verbose=False)
    _, teacher, _ = client.predict(handle_file(picture), 0.95, api_name="/screen")
    assert Image.open(teacher).format == "JPEG"
    call = json.dumps({"data": [None, 0.95]}).encode()
    for path, data in ((upload(app, picture), None), ("/gradio_api/call/screen", call)):
        status, headers, _ = fetch(app.url + path, data)
        assert status == 200
        assert headers["cache-control"] == "no-store", path
    _, headers, _ = fetch(f"{app.url}/gradio_api/theme.css")
    assert "cache-control" not in headers


def test_neither_the_page_nor_an_error_tells_where_files_are(app, cache):
    _, _, config = fetch(f"{app.url}/config")
    for place in (str(ROOT), str(cache), str(Path.home())):
        assert place not in config.decode()
    for path in ("", ".", "weights", "app.py", "/etc/passwd", "a\0b", "x" * 5000):
        sent = {"path": path, "meta": {"_type": "gradio.FileData"}}
        body = json.dumps({"data": [sent, 0.95]}).encode()
        _, _, answer = fetch(f"{app.url}/gradio_api/call/screen", body)
        event = json.loads(answer)["event_id"]
        _, _, answer = fetch(f"{app.url}/gradio_api/call/screen/{event}")
        assert b"event: error" in answer, path
        assert b"not uploaded" in answer, path
        for place in (str(ROOT), str(cache)):
            assert place not in answer.decode()


def test_no_file_but_uploads_is_handed_out(app):
    """Gradio lists icons of its own as public, and then compares every upload with each of them."""
    icon = get_icon_path("link.svg")
    assert Path(icon).is_file()
    assert fetch(f"{app.url}/gradio_api/file={icon}")[0] == 403


def test_the_page_s_own_events_do_not_answer_by_name(app):
    _, _, config = fetch(f"{app.url}/config")
    names = [event["api_name"] for event in json.loads(config)["dependencies"]]
    assert [name for name in names if name] == ["screen"]
    own = [name for name in vars(Page) if name.startswith(("on_", "_on_"))]
    assert len(own) > 5
    body = json.dumps({"data": []}).encode()
    for name in (*own, "None", "null", "false", "lambda", "answer"):
        for door in ("call", "run", "api"):
            status, _, answer = fetch(f"{app.url}/gradio_api/{door}/{name}", body)
            assert status >= 400, (door, name)
            assert str(ROOT) not in answer.decode()


@pytest.mark.parametrize("door", ["component_server", "upload", "queue/join", "call/screen"])
def test_no_door_takes_a_body_beyond_all_bounds(app, door):
    with socket.create_connection(("127.0.0.1", int(app.url.rpartition(":")[2])), 30) as line:
        head = f"POST /gradio_api/{door} HTTP/1.1\r\nHost: x\r\nContent-Length: {10**9}\r\n\r\n"
        line.sendall(head.encode())
        answer = line.recv(65536)
    assert b" 413 " in answer.splitlines()[0]


def test_an_orderly_end_leaves_no_upload(tiny_weights, picture, tmp_path):
    with running_app(tiny_weights, tmp_path) as app:
        upload(app, picture)
        assert list(tmp_path.rglob("lesion.png"))
        app.process.send_signal(signal.SIGTERM)
        assert app.process.wait(timeout=30) == 0
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_what_a_killed_server_left_is_removed_and_handed_to_nobody(
    tiny_weights, picture, tmp_path, monkeypatch
):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    with running_app(tiny_weights, tmp_path) as app:
        uploaded = upload(app, picture)
        assert fetch(app.url + uploaded)[0] == 200
        with uploads() as beside:
            app.process.send_signal(signal.SIGKILL)
            app.process.wait(timeout=30)
            assert list(tmp_path.rglob("lesion.png"))
            with running_app(tiny_weights, tmp_path) as again:
                assert fetch(again.url + uploaded)[0] == 403
                assert not list(tmp_path.rglob("lesion.png"))
                assert beside.parent == tmp_path
                assert beside.is_dir(), "of a server that lives"


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as tried:
            tried.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
@pytest.mark.parametrize("host", ["::1", "::"])
def test_it_listens_on_ipv6_and_prints_an_address_to_open(tiny_weights, tmp_path, host):
    with socket.socket(socket.AF_INET6) as free:
        free.bind(("::1", 0))
        port = free.getsockname()[1]
    log = tmp_path / "log"
    with log.open("w") as written:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "mel_demo", "serve", "--host", host),
                *("--port", str(port), "--weights", str(tiny_weights)),
            ],
            cwd=ROOT,
            stderr=written,
            env=os.environ | {"GRADIO_TEMP_DIR": str(tmp_path / "uploads")},
        )
        try:
            for _ in range(600):
                if "The page is at" in log.read_text() or process.poll() is not None:
                    break
                time.sleep(0.1)
            assert f"The page is at http://[::1]:{port}/" in log.read_text()
            assert fetch(f"http://[::1]:{port}/")[0] == 200
        finally:
            process.terminate()
            process.wait(timeout=30)


def test_below_another_path_of_a_proxy_its_own_addresses_follow(tiny_weights, tmp_path):
    with running_app(tiny_weights, tmp_path, more={"GRADIO_ROOT_PATH": "/melanoma"}) as app:
        _, headers, page = fetch(f"{app.url}/")
        assert "content-security-policy" in headers
        assert b'"root":"http' in page
        config = json.loads(fetch(f"{app.url}/config")[2])
        assert config["root"].endswith("/melanoma")


def test_a_proxy_for_other_places_does_not_keep_it_from_starting(tiny_weights, tmp_path):
    nobody = f"http://127.0.0.1:{free_port()}"
    with running_app(tiny_weights, tmp_path, more={"http_proxy": nobody}) as app:
        # It answers before it has asked itself, after which it would end.
        with pytest.raises(subprocess.TimeoutExpired):
            app.process.wait(timeout=3)
        assert fetch(f"{app.url}/")[0] == 200


@pytest.fixture
def held(tiny_screener) -> Sessions:
    return Sessions(Page(tiny_screener).build())


def visit(held: Sessions, name: str, kilobytes: int) -> None:
    state = next(key for key, block in held.blocks.blocks.items() if block.stateful)
    held[name][state] = os.urandom(1000 * kilobytes)


def test_sessions_are_bounded_by_their_bytes_and_the_quietest_goes(held, monkeypatch):
    monkeypatch.setattr(sessions, "MAX_BYTES", 500_000)
    for index in range(4):
        visit(held, f"visitor {index}", 100)
    assert len(held.session_data) == 4
    held["visitor 0"]  # is used again
    visit(held, "visitor 4", 100)
    assert list(held.session_data) == ["visitor 2", "visitor 3", "visitor 0", "visitor 4"]
    assert sum(session.bytes for session in held.session_data.values()) <= 500_000


def test_calls_of_the_api_put_no_visitor_out(held, monkeypatch):
    monkeypatch.setattr(sessions, "MAX_SESSIONS", 10)
    visit(held, "visitor", 100)
    for index in range(50):
        held[f"call {index}"]
    assert "visitor" in held
    assert len(held.session_data) == 10


def test_who_comes_when_all_places_are_taken_is_let_in(held, monkeypatch):
    monkeypatch.setattr(sessions, "MAX_SESSIONS", 3)
    for index in range(3):
        visit(held, f"visitor {index}", 1)
    held["new"]
    assert list(held.session_data) == ["visitor 1", "visitor 2", "new"]


def test_a_visit_with_an_image_keeps_little(tiny_screener, held):
    file = io.BytesIO()
    draw_lesion("mel", seed=3, size=(3000, 2000)).save(file, "JPEG")
    page = Page(tiny_screener)
    kept = page.on_image(file.getvalue(), "en", 4, 95, 2)["session"]
    assert kept is not None
    state = next(key for key, block in held.blocks.blocks.items() if block.stateful)
    held["visitor"][state] = kept
    assert held["visitor"].bytes < 200_000


def test_nothing_of_an_upload_stays_longer_than_promised(tmp_path, monkeypatch):
    """Neither what Gradio knows nothing of, nor the folders around files; a crowd's not at all."""
    for name in ("old/lesion.png", "crowd/lesion.png", "new/lesion.png", "tmpbroken", "tmpcoming"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bytes(10_000))
        time.sleep(0.05)
    since = (tmp_path / "old").stat().st_ctime + 0.025
    monkeypatch.setattr("mel_demo.ui.uploads.time", SimpleNamespace(time=lambda: since + SECONDS))
    forget(tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["crowd", "new", "tmpbroken", "tmpcoming"]
    forget(tmp_path, most=25_000)
    assert sorted(os.listdir(tmp_path)) == ["tmpbroken", "tmpcoming"]
    forget(tmp_path, seconds=0)
    assert os.listdir(tmp_path) == []


def test_what_is_there_is_forgotten_by_and_by_and_no_list_of_it_grows(
    tiny_screener, tmp_path, monkeypatch
):
    monkeypatch.setattr(serving, "_FORGET_SECONDS", 0.05)
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    with uploads() as folder:
        blocks = Page(tiny_screener).build()
        blocks.max_file_size = None
        app = App.create_app(blocks, app_kwargs=serving.launch_options()["app_kwargs"])
        with TestClient(app) as client:
            files = {"files": ("lesion.png", b"picture")}
            (path,) = client.post("/gradio_api/upload", files=files).json()
            assert Path(path).is_file()
            monkeypatch.setattr(serving.forget, "__defaults__", (0, 0))
            for _ in range(100):
                if not list(folder.iterdir()) and not blocks.upload_file_set:
                    break
                time.sleep(0.05)
            assert list(folder.iterdir()) == []
            assert not blocks.upload_file_set


def test_an_upload_that_is_broken_off_leaves_no_trace(tiny_weights, tmp_path):
    """Neither in the log nor outside of the folder that is emptied."""
    elsewhere = tmp_path / "system"
    elsewhere.mkdir()
    with running_app(tiny_weights, tmp_path / "cache", more={"TMPDIR": str(elsewhere)}) as app:
        place = "127.0.0.1", int(app.url.rpartition(":")[2])
        (folder,) = (tmp_path / "cache").glob("mel-demo-*/")
        for door in ("upload", "component_server"):
            with socket.create_connection(place, 30) as line:
                head = f"POST /gradio_api/{door} HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n"
                part = 'Content-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
                kind = "Content-Type: multipart/form-data; boundary=x\r\n\r\n"
                line.sendall(f"{head}{kind}--x\r\n{part}".encode() + bytes(100_000))
                for _ in range(600):
                    if any(path.stat().st_size for path in folder.glob("tmp*")):
                        break
                    time.sleep(0.05)
            assert list(elsewhere.rglob("*")) == []
            for path in folder.glob("tmp*"):
                path.unlink()
        assert fetch(f"{app.url}/config")[0] == 200
        assert app.log().splitlines()[1:] == []
