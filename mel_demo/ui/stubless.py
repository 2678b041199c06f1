"""Gradio starts sooner.

It would read the source of all of its components and write a .pyi file beside each, for editors,
whenever it is imported; import what its MCP server needs, wanted or not; and build its web server
three times before the one that is launched.
"""

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

_MODULE, _WRITER = "gradio.component_meta", "create_or_modify_pyi"
_TOOLS = "mcp"


class _Stubless(MetaPathFinder):
    def find_spec(self, name: str, path: Any, target: Any = None) -> ModuleSpec | None:
        found = PathFinder.find_spec(name, path) if name == _MODULE else None
        if found is None or found.loader is None:
            return None
        execute = found.loader.exec_module

        def without(module: ModuleType) -> None:
            execute(module)
            setattr(module, _WRITER, lambda *_: None)

        found.loader.exec_module = without  # type: ignore[method-assign]
        return found


def install() -> None:
    """Import Gradio, or where it is already, change nothing."""
    if any(isinstance(finder, _Stubless) for finder in sys.meta_path):
        return
    sys.meta_path.insert(0, _Stubless())
    toolless = not with_tools() and _TOOLS not in sys.modules
    if toolless:
        sys.modules[_TOOLS] = None
    # Many objects are made, and hardly any of them is garbage.
    gc.disable()
    import gradio  # noqa: F401

    gc.freeze()
    gc.enable()
    if toolless:
        del sys.modules[_TOOLS]


def with_tools() -> bool:
    """Whether Gradio is told to be an MCP server as well."""
    return os.environ.get("GRADIO_MCP_SERVER", "").lower() == "true"


@contextmanager
def unserved() -> Iterator[None]:
    """A page that is built meanwhile has no web server before its launch."""
    from gradio.routes import App

    create = App.create_app
    App.create_app = staticmethod(lambda *_, **__: None)  # type: ignore[method-assign]
    try:
        yield
    finally:
        App.create_app = staticmethod(create)  # type: ignore[method-assign]
