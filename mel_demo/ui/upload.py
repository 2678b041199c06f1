"""The image input hands over the uploaded file before anything has decoded it; a picture for a
program is kept beside the uploads.

gr.Image opens, turns and converts an upload itself, so that limits would be checked too late and
damaged files would fail with its own messages; ``mel_demo.images.open_image`` does all that.
"""

import base64
import binascii
import secrets
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.processing_utils import client_utils
from gradio.utils import get_upload_folder
from PIL import Image


def image_input(**options: Any) -> gr.Image:
    """A gr.Image whose handlers are given the uploaded file: a Path, bytes, or None."""
    component = gr.Image(type="filepath", **options)
    # On the instance and not in a subclass: beside the source of each of those Gradio writes a
    # .pyi file when the page starts.
    component.preprocess = _file_of  # type: ignore[method-assign, assignment]
    keep = component.async_move_resource_to_block_cache

    async def keep_uploads(url_or_file_path: str | Path | None) -> str | None:
        if client_utils.is_http_url_like(url_or_file_path):
            raise _not_fetched()
        return await keep(url_or_file_path)

    component.async_move_resource_to_block_cache = keep_uploads  # type: ignore[method-assign]
    return component


def not_uploaded() -> gr.Error:
    """What answers a file that is none of the visitors'."""
    return gr.Error(
        "The file was not uploaded to this server. Upload it first, or send a data URL.",
        print_exception=False,
    )


def _not_fetched() -> gr.Error:
    return gr.Error(
        "A picture is not fetched from an address. Send the file itself, or a data URL of it.",
        print_exception=False,
    )


def _file_of(payload: Any) -> Path | bytes | None:
    """The upload's path; its bytes where a client sent a data URL instead of a file."""
    if payload is None:
        return None
    if payload.path:
        # Gradio itself asks only of what calls itself a file, by its "meta".
        try:
            path = Path(payload.path).resolve()
        except (OSError, ValueError) as error:
            raise not_uploaded() from error
        if not path.is_relative_to(Path(get_upload_folder()).resolve()):
            raise not_uploaded()
        return path
    if payload.url and not payload.url.startswith("data:"):
        raise _not_fetched()
    try:
        return base64.b64decode((payload.url or "").partition(",")[2], validate=True)
    except binascii.Error as error:
        raise gr.Error(
            "The picture did not arrive whole. Send it again.", print_exception=False
        ) from error


def keep_picture(picture: Image.Image) -> Path:
    """Write an RGB picture as a JPEG file where uploads lie, with whom it goes.

    In the handler's own thread, and to a file: into memory Pillow encodes under Python's lock.
    """
    path = Path(get_upload_folder()) / secrets.token_hex(16) / "map.jpg"
    path.parent.mkdir(parents=True)
    # Thin coloured lines on skin: with colours at half the resolution they would fray.
    picture.save(path, quality=90, subsampling="4:4:4")
    return path
