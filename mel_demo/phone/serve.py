"""The page on the phone beside the page on the server: /phone, where it has been laid out."""

import gzip
import os
from functools import cache, partial
from pathlib import Path

import brotli
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from mel_demo.phone.build import LIST

DEFAULT = Path(__file__).resolve().parents[2] / "build" / "phone"
HEADERS = {
    # Both together isolate the page from others, which WebAssembly's threads need.
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    # Names stay while releases change: browsers ask whether theirs is still the one.
    "Cache-Control": "no-cache",
}
ENCODERS = {
    "br": partial(brotli.compress, quality=6),
    "gzip": partial(gzip.compress, compresslevel=6),
}
"""By their names in HTTP, the better one first. Browsers take br over https and from localhost."""


class _Page(StaticFiles):
    """As static hosts serve it: compressed, which makes a quarter of the runtime."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        asked = Headers(scope=scope)
        whole = response.status_code == 200 and scope["method"] == "GET" and "range" not in asked
        taken = asked.get("accept-encoding", "")
        encoding = next((name for name in ENCODERS if name in taken), None)
        if isinstance(response, FileResponse) and whole and encoding:
            changed = response.headers["last-modified"]
            body = await run_in_threadpool(_compressed, Path(response.path), changed, encoding)
            kept = {name: response.headers[name] for name in ("etag", "last-modified")}
            kept |= {"content-encoding": encoding, "vary": "accept-encoding"}
            response = Response(body, media_type=response.media_type, headers=kept)
        response.headers.update(HEADERS)
        return response


@cache
def _compressed(path: Path, changed: str, encoding: str) -> bytes:
    """Once a file, as the runtime takes half a second; ``changed`` tells its versions apart."""
    return bytes(ENCODERS[encoding](path.read_bytes()))


def routes() -> list[BaseRoute]:
    """/phone/ from the folder in $MEL_PHONE, by default build/phone; none where it has no page."""
    folder = Path(os.environ.get("MEL_PHONE") or DEFAULT)
    if not (folder / LIST).is_file():
        return []

    def with_slash(request: Request) -> RedirectResponse:
        """Relative, as a proxy may have put the whole of it below another path."""
        return RedirectResponse("phone/")

    return [Route("/phone", with_slash), Mount("/phone", _Page(directory=folder, html=True))]
