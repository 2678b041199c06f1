"""Where uploads lie: a folder of this process alone, which does not outlive it, nor they minutes.

An orderly end removes the folder. What a kill leaves behind is removed by the next start: a lock
that the system lets go of with the process tells dead folders from those of servers beside this
one.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from mel_demo.errors import SettingError

SECONDS = 600
"""How long what was uploaded, or drawn for a program, stays."""
MOST_BYTES = 1_000_000_000
"""Of all of it: beyond that the oldest goes before its time."""
_PREFIX, _LOCK = "mel-demo-", ".lock"
_GRADIO = "GRADIO_TEMP_DIR"


@contextmanager
def uploads() -> Iterator[Path]:
    """Gradio keeps uploads, and this process all temporary files, in a new, empty folder; enter
    before the page is built.

    Below $GRADIO_TEMP_DIR, by default ``gradio`` in the system's folder for temporary files. Raises
    SettingError where that cannot be written.
    """
    given = os.environ.get(_GRADIO)
    root = Path(given or Path(tempfile.gettempdir(), "gradio")).absolute()
    try:
        root.mkdir(parents=True, exist_ok=True)
        _sweep(root)
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=root))
        lock = FileLock(folder.with_name(folder.name + _LOCK))
        lock.acquire()
    except OSError as error:
        raise SettingError(
            f"Uploads cannot be kept in {root} ({error.strerror}). Let {_GRADIO} name a folder "
            "that you may write to."
        ) from error
    os.environ[_GRADIO] = str(folder)
    # Also for what is received and not called an upload: broken off, it would stay for ever.
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        yield folder
    finally:
        tempfile.tempdir = before
        if given is None:
            del os.environ[_GRADIO]
        else:
            os.environ[_GRADIO] = given
        _remove(folder, lock)


def forget(folder: Path, seconds: float = SECONDS, most: int = MOST_BYTES) -> None:
    """Remove from ``folder`` what did not change for so long, and the oldest above so many bytes.

    Gradio removes the files that it has a list of: not what an upload that was broken off left, nor
    the folder around each file.
    """
    found = []
    for entry in folder.iterdir():
        with suppress(OSError):  # it goes meanwhile
            below = (Path(at, name) for at, _, names in os.walk(entry) for name in names)
            within = [path.lstat() for path in (entry, *below)]
            size = sum(stat.st_size for stat in within)
            found.append((max(stat.st_ctime for stat in within), size, entry))
    total = sum(size for _, size, _ in found)
    for changed, size, entry in sorted(found):
        if changed > time.time() - seconds and total <= most:
            break
        total -= size
        shutil.rmtree(entry, ignore_errors=True)
        with suppress(OSError):
            entry.unlink()


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
