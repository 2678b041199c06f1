"""The page as an MCP server, asked by the protocol's own client."""

import asyncio
import base64
import io
from pathlib import Path
from typing import Any

import pytest

from tests.support.lesions import draw_lesion
from tests.support.running import running_app

mcp = pytest.importorskip("mcp")
from mcp.client.streamable_http import streamablehttp_client  # noqa: E402


@pytest.fixture(scope="module")
def address(tiny_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    with running_app(
        tiny_weights, tmp_path_factory.mktemp("cache"), more={"GRADIO_MCP_SERVER": "true"}
    ) as running:
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


def test_the_one_tool_says_what_it_is_for_and_judges_an_image(address: str) -> None:
    draw_lesion("mel", seed=3).save(file := io.BytesIO(), "PNG")
    url = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
    tools, (answer, refused) = ask(
        address, {"image": url, "target_sensitivity": 0.9}, {"image": url, "target_sensitivity": 9}
    )
    assert [tool.name for tool in tools] == ["screen"]
    assert "dermoscopy" in tools[0].description
    assert "not a medical device" in tools[0].description
    assert "MB" in tools[0].description
    properties = tools[0].inputSchema["properties"]
    assert set(properties) == {"image", "target_sensitivity"}
    assert all(properties[name]["description"] for name in properties)
    text = "".join(part.text for part in answer.content if part.type == "text")
    assert "melanoma_probability" in text
    assert "not a medical device" in text
    assert refused.isError
    assert "target sensitivity" in refused.content[0].text
