"""What the page says first: its own scripts, and which of Gradio's files will be needed."""

import re

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import HTMLResponse, PlainTextResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.testclient import TestClient

from mel_demo.ui.assets import Assets
from mel_demo.ui.early import EarlyScript

OWN = '<link rel="stylesheet" href="./assets/index-0.css">'
ASSETS = {
    "index-1.js": "export const one = 1;",
    "core-2.js": "export const two = 2;",
    "opened-later.js": "export const later = 3;",
    "index-0.css": "body { color: red }",
    "core-2.css": ".core { color: blue }",
    "button-3.css": ".core { color: green }",
    '"><script>.js': "",
}


@pytest.fixture
def client(tmp_path):
    async def page(request):
        return HTMLResponse(f"<html><head><title>page</title>{OWN}</head><head></head></html>")

    async def answer(request):
        return PlainTextResponse("")

    for name, text in ASSETS.items():
        (tmp_path / name).write_text(text)
    routes = [
        Route("/", page),
        Mount("/assets", StaticFiles(directory=tmp_path)),
        Route("/gradio_api/run/predict", answer, methods=["POST"]),
    ]
    early = Middleware(EarlyScript, assets=Assets(tmp_path))
    return TestClient(Starlette(routes=routes, middleware=[early]))


def visit(client, *names):
    client.get("/")
    for name in names:
        client.get(f"/assets/{name}")
    client.post("/gradio_api/run/predict")


def linked(client, beginning):
    return re.findall(beginning + r' crossorigin href="\./assets/([^"]*)"', client.get("/").text)


def test_later_visits_are_told_what_the_first_one_asked_for(client):
    assert linked(client, '"modulepreload"') == []
    for name in ("index-1.js", "core-2.js", "core-2.css", "missing.js", "index-1.js"):
        client.get(f"/assets/{name}")
    assert linked(client, '"modulepreload"') == [], "the first visit is not over"
    client.post("/gradio_api/run/predict")
    client.get("/assets/opened-later.js")
    assert linked(client, '"modulepreload"') == ["index-1.js", "core-2.js"]


def test_a_visitor_who_has_everything_teaches_nothing(client):
    visit(client)
    visit(client, "index-1.js")
    assert linked(client, '"modulepreload"') == ["index-1.js"]


def test_styles_come_in_one_file_in_their_order_and_not_once_more(client):
    visit(client, "index-0.css", "core-2.css", "button-3.css")
    (sheet,) = linked(client, '"stylesheet"')
    assert '["core-2.css", "button-3.css"]' in client.get("/").text
    head = client.get("/").text.partition("</head>")[0]
    assert head.index(OWN) < head.index(sheet), "the page's own come first"
    assert "&lt;" not in client.get("/").text, "a tag that is shown as text"
    answer = client.get(f"/assets/{sheet}")
    assert answer.headers["content-type"].startswith("text/css")
    assert answer.text == ASSETS["core-2.css"] + "\n" + ASSETS["button-3.css"]


@pytest.mark.parametrize("accepted", ["gzip, br", "identity"])
def test_what_is_kept_is_the_file_for_every_browser(client, accepted):
    visit(client, "core-2.js")
    answer = client.get("/assets/core-2.js", headers={"Accept-Encoding": accepted})
    assert answer.text == ASSETS["core-2.js"]
    assert answer.headers.get("content-encoding") == ("br" if "br" in accepted else None)
    assert answer.headers["content-type"].startswith("text/javascript")
    assert answer.headers["vary"] == "Accept-Encoding"


def test_a_name_cannot_break_out(client):
    visit(client, "%22%3E%3Cscript%3E.js")
    head = client.get("/").text.partition("<script>")[0]
    assert "&#34;&gt;&lt;script&gt;.js" in head
