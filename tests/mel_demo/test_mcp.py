"""The page as an MCP server, asked by the protocol's own client."""

import asyncio
import base64
import io
import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.support.lesions import draw_lesion
from tests.support.running import running_app

mcp = pytest.importorskip("mcp")
from mcp.client.streamable_http import streamablehttp_client  # noqa: E402


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def address(tiny_weights: Path, cache: Path) -> Any:
    with running_app(tiny_weights, cache, more={"GRADIO_MCP_SERVER": "true"}) as running:
        yield f"{running.url}/gradio_api/mcp/"


def ask(address: str, *arguments: dict[str, Any]) -> tuple[Any, list[Any]]:
    """The tools, and an answer to each call."""

    async def talk() -> tuple[Any, list[Any]]:
        async with (
            streamablehttp_client(address) as (reading, writing, _),
            mcp.ClientSession(reading, writing) as session,
        ):
            await session.initialize()
            listed = await session.list_tools()
            return listed.tools, [await session.call_tool("screen", one) for one in arguments]

    return asyncio.run(talk())


@pytest.fixture(scope="module")
def picture() -> bytes:
    draw_lesion("mel", seed=3).save(file := io.BytesIO(), "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def url(picture: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(picture).decode()


def test_the_one_tool_says_what_it_is_for(address: str) -> None:
    tools, _ = ask(address)
    assert [tool.name for tool in tools] == ["screen"]
    assert "dermoscopy" in tools[0].description
    assert "not a medical device" in tools[0].description
    assert "MB" in tools[0].description
    properties = tools[0].inputSchema["properties"]
    assert set(properties) == {"image", "target_sensitivity"}
    assert all(properties[name]["description"] for name in properties)
    assert "data URL" in properties["image"]["description"]
    assert "http" not in properties["image"]["format"]


def test_an_answer_is_json_and_both_maps_as_pictures(
    address: str, picture: bytes, url: str, cache: Path
) -> None:
    _, (answer,) = ask(address, {"image": url, "target_sensitivity": 0.9})
    assert not answer.isError
    texts = [part.text for part in answer.content if part.type == "text"]
    said = json.loads(texts[0])
    assert said["target_sensitivity"] == 0.9
    assert 0 < said["models"]["teacher"]["melanoma_probability"] < 1
    assert "not a medical device" in said["notice"]
    maps = [part for part in answer.content if part.type == "image"]
    size = Image.open(io.BytesIO(picture)).size
    drawn = [Image.open(io.BytesIO(base64.b64decode(part.data))) for part in maps]
    assert [(map.format, map.size) for map in drawn] == [("JPEG", size)] * 2
    assert drawn[0].tobytes() != drawn[1].tobytes()
    kept = [path for path in cache.rglob("*") if path.suffix == ".png"]
    assert kept == [], "the picture itself was judged from memory"


def test_an_uploaded_file_is_judged_by_its_url(address: str, picture: bytes) -> None:
    root = address.removesuffix("/mcp/")
    kind = "multipart/form-data; boundary=border"
    head = b'Content-Disposition: form-data; name="files"; filename="a.png"'
    body = b"--border\r\n" + head + b"\r\n\r\n" + picture + b"\r\n--border--\r\n"
    request = urllib.request.Request(f"{root}/upload", body, {"Content-Type": kind})
    with urllib.request.urlopen(request, timeout=30) as uploaded:
        (path,) = json.load(uploaded)
    _, (answer,) = ask(address, {"image": f"{root}/file={path}"})
    assert json.loads(answer.content[0].text)["target_sensitivity"] == 0.95


@pytest.mark.parametrize(
    ("image", "target", "says"),
    [
        ("{url}", 9, "target sensitivity is 9"),
        ("https://example.org/lesion.jpg", 0.9, "No other address is fetched"),
        ("lesion.jpg", 0.9, "neither a data URL"),
        ("{root}/file=/etc/passwd", 0.9, "nor the URL of a file uploaded"),
        ("{root}/file={cache}/../secret.png", 0.9, "nor the URL of a file uploaded"),
        ("{root}/file={cache}/..%2Fsecret.png", 0.9, "nor the URL of a file uploaded"),
        ("{root}/file=", 0.9, "nor the URL of a file uploaded"),
        ("data:image/png;base64,AAAA", 0.9, "not an image that can be read"),
    ],
)
def test_what_cannot_be_judged_is_an_error_in_words(
    address: str, picture: bytes, url: str, cache: Path, image: str, target: float, says: str
) -> None:
    (cache / "secret.png").write_bytes(picture)  # beside the server's own folder of uploads
    (own,) = cache.glob("mel-demo-*/")
    image = image.format(url=url, root=address.removesuffix("/mcp/"), cache=own)
    _, (answer,) = ask(address, {"image": image, "target_sensitivity": target})
    (cache / "secret.png").unlink()
    assert answer.isError
    assert says in answer.content[0].text
