"""Where uploads lie: a folder of this process alone, which does not outlive it.

An orderly end removes the folder. What a kill leaves behind is removed by the next start: a lock
that the system lets go of with the process tells dead folders from those of servers beside this
one.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

_PREFIX, _LOCK = "mel-demo-", ".lock"
_GRADIO = "GRADIO_TEMP_DIR"


@contextmanager
def uploads() -> Iterator[Path]:
    """Gradio keeps uploads in a new, empty folder; enter before the page is built.

    Below $GRADIO_TEMP_DIR, by default ``gradio`` in the system's folder for temporary files.
    """
    given = os.environ.get(_GRADIO)
    root = Path(given or Path(tempfile.gettempdir(), "gradio")).absolute()
    root.mkdir(parents=True, exist_ok=True)
    _sweep(root)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=root))
    lock = FileLock(folder.with_name(folder.name + _LOCK))
    lock.acquire()
    os.environ[_GRADIO] = str(folder)
    try:
        yield folder
    finally:
        if given is None:
            del os.environ[_GRADIO]
        else:
            os.environ[_GRADIO] = given
        _remove(folder, lock)


def _sweep(root: Path) -> None:
    """Remove what servers left that are no more."""
    for path in root.glob(f"{_PREFIX}*{_LOCK}"):
        lock = FileLock(path)
        try:
            lock.acquire(timeout=0)
        except (Timeout, OSError):  # alive, or another user's
            continue
        _remove(path.with_name(path.name.removesuffix(_LOCK)), lock)


def _remove(folder: Path, lock: FileLock) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    lock.release()
    Path(lock.lock_file).unlink(missing_ok=True)
