"""Gradio starts in half of the time: it would read the source of all of its components and write a
.pyi file beside each, for editors, whenever it is imported."""

import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

_MODULE, _WRITER = "gradio.component_meta", "create_or_modify_pyi"


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
    """Before Gradio is imported; where it is already, nothing changes."""
    if not any(isinstance(finder, _Stubless) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Stubless())
