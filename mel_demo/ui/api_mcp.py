"""The endpoint /screen as a tool of Gradio's MCP server, where that loses what it should send.

Imported only where the server is wanted (GRADIO_MCP_SERVER): it needs ``gradio[mcp]``.
"""

import json
from typing import Any
from urllib.parse import unquote

import gradio.mcp
from gradio.mcp import GradioMCPServer
from gradio.utils import get_upload_folder, is_in_or_equal

from mel_demo.errors import ImageError

_UPLOADED = "/gradio_api/file="


class Tools(GradioMCPServer):
    """Maps arrive as pictures, numbers as JSON; a data URL is judged from memory."""

    async def _execute_tool_without_progress(self, job: Any) -> list[Any]:
        # Gradio takes the outputs of a tool for one, and prints them, unless a client wants to
        # hear of progress.
        (found,) = await super()._execute_tool_without_progress(job)
        return list(found) if isinstance(found, tuple) else [found]

    def postprocess_output_data(self, data: Any, root_url: str) -> list[Any]:
        written = [
            json.dumps(value) if isinstance(value, dict) and "meta" not in value else value
            for value in data
        ]
        return super().postprocess_output_data(written, root_url)

    def convert_strings_to_filedata(self, value: Any, filedata_positions: Any) -> Any:
        """Gradio would write a data URL to a file that nothing removes, and fetch any address."""
        files = {name for (name,) in filedata_positions}
        return {name: _sent(given) if name in files else given for name, given in value.items()}

    def simplify_filedata_schema(self, schema: dict[str, Any]) -> tuple[dict[str, Any], Any]:
        simplified, positions = super().simplify_filedata_schema(schema)
        for (name,) in positions:
            simplified["properties"][name]["format"] = "uri"  # Gradio's words: any http address
        return simplified, positions


def install() -> None:
    """Gradio builds ``Tools`` for the page that is launched next."""
    gradio.mcp.GradioMCPServer = Tools  # type: ignore[misc]


def _sent(given: Any) -> Any:
    """An argument as the client of a page sends it."""
    if not isinstance(given, str):
        return given
    meta = {"_type": "gradio.FileData"}
    if given.startswith("data:"):
        return {"url": given, "meta": meta}
    path = unquote(given.partition(_UPLOADED)[2])
    # Gradio's client, which runs in this process, would read any file of the server.
    if path and is_in_or_equal(path, get_upload_folder()):
        return {"path": path, "meta": meta}
    raise ImageError(
        "The picture is neither a data URL (data:image/jpeg;base64,...) nor the URL of a file "
        "uploaded to this server. No other address is fetched."
    )
