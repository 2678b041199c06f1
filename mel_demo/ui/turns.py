"""Who may judge: as many at a time as there are cores, and who is alone has all of them."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from mel_demo.inference import cores


class Turns:
    """More at a time than there are cores would only need the memory of more."""

    def __init__(self) -> None:
        self._free = threading.BoundedSemaphore(cores())
        self._lock = threading.Lock()
        self._here = 0

    @contextmanager
    def one(self) -> Iterator[bool]:
        """Wait for a turn; whether nobody else had one, or waited for one, when this one came."""
        with self._lock:
            self._here += 1
            alone = self._here == 1
        try:
            with self._free:
                yield alone
        finally:
            with self._lock:
                self._here -= 1
