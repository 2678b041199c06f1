"""What the page says first: its own scripts, and which of Gradio's will be needed."""

import re

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import HTMLResponse, PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from mel_demo.ui.early import EarlyScript


@pytest.fixture
def client():
    async def page(request):
        return HTMLResponse("<html><head><title>page</title></head></html>")

    async def asset(request):
        known = request.path_params["name"] != "missing.js"
        return PlainTextResponse("", 200 if known else 404)

    async def answer(request):
        return PlainTextResponse("")

    routes = [
        Route("/", page),
        Route("/assets/{name}", asset),
        Route("/gradio_api/run/predict", answer, methods=["POST"]),
    ]
    return TestClient(Starlette(routes=routes, middleware=[Middleware(EarlyScript)]))


def named(client):
    return re.findall(r'modulepreload" crossorigin href="\./assets/([^"]*)"', client.get("/").text)


def test_later_visits_are_told_what_the_first_one_asked_for(client):
    assert named(client) == []
    for name in ("index-1.js", "core-2.js", "core-2.css", "missing.js", "index-1.js"):
        client.get(f"/assets/{name}")
    assert named(client) == [], "the first visit is not over"
    client.post("/gradio_api/run/predict")
    client.get("/assets/opened-later.js")
    assert named(client) == ["index-1.js", "core-2.js"]


def test_a_visitor_who_has_everything_teaches_nothing(client):
    client.get("/")
    client.post("/gradio_api/run/predict")
    client.get("/assets/index-1.js")
    client.post("/gradio_api/run/predict")
    assert named(client) == ["index-1.js"]


def test_a_name_cannot_break_out(client):
    client.get("/assets/%22%3E%3Cscript%3E.js")
    client.post("/gradio_api/run/predict")
    head = client.get("/").text.partition("<script>")[0]
    assert "&#34;&gt;&lt;script&gt;.js" in head
