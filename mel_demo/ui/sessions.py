"""What the server remembers of its visitors: little, and never more than a fixed amount.

Gradio remembers every component of every session, with all it last showed, of up to 10,000
sessions, and every call of the API is one. Only what handlers ask back is kept here: the values of
gr.State, and components that a handler changed otherwise than by their value.
"""

import pickle
import threading
import time
from collections import OrderedDict
from copy import copy
from datetime import datetime
from typing import Any

import gradio as gr
from gradio.state_holder import SessionState, StateHolder
from starlette.exceptions import HTTPException

MAX_BYTES = 32_000_000
"""Of all sessions' values together; the sessions that were quiet the longest are forgotten."""
MAX_SESSIONS = 400
"""Visitors, and calls of the API, which go first; each visitor with an image takes some 50 kB."""
LONGEST_NAME = 100
"""Characters of a session's name, which its visitor chooses: Gradio's have eleven."""
_SWEEP_SECONDS = 30
_COMPONENT_BYTES = 10_000
"""Of a component that a session has for itself, roughly."""


class Session(SessionState):
    """What one visitor has for themselves; all else is the page's, shared with everybody."""

    def __init__(self, holder: "Sessions") -> None:
        self.blocks_config = holder.blocks.default_config
        self.config_values: dict[int, Any] = {}
        self.state_data: dict[int, Any] = {}
        self._state_ttl: dict[int, Any] = {}
        self.is_closed = False
        self.STATE_TTL_WHEN_CLOSED = 600
        self._holder = holder
        self._bytes: dict[int, int] = {}
        self._components: set[int] = set()

    def __setitem__(self, key: int, value: Any) -> None:
        block = self.blocks_config.blocks.get(key)
        if isinstance(block, gr.State):
            self.state_data[key] = value
            self._state_ttl[key] = block.time_to_live, datetime.now()
            self._bytes[key] = len(pickle.dumps(value))
            self._holder.make_room()
        elif value is not block:
            if not self._components:
                self.blocks_config = copy(self.blocks_config)
            self._components.add(key)
            self.blocks_config.blocks[key] = value

    def _update_config(self, key: int) -> None:
        """Gradio's copy of the page for links to a session, which are not offered."""

    def _update_value_in_config(self, key: int, value: Any) -> None:
        """As above."""

    @property
    def bytes(self) -> int:
        """What it takes up, about."""
        values = sum(size for key, size in self._bytes.items() if key in self.state_data)
        return values + _COMPONENT_BYTES * len(self._components)


class Sessions(StateHolder):
    """All sessions, the last used last."""

    def __init__(self, blocks: gr.Blocks) -> None:
        super().__init__()
        self.session_data: OrderedDict[str, Session] = OrderedDict()  # type: ignore[assignment]
        self.set_blocks(blocks)
        self.lock = threading.RLock()
        self._swept = time.monotonic()

    def __getitem__(self, session_id: str) -> Session:
        if len(session_id) > LONGEST_NAME:
            raise HTTPException(422, "The name of the session is too long.")
        with self.lock:
            if session_id not in self.session_data:
                self.session_data[session_id] = Session(self)
            self.update(session_id)
            return self.session_data[session_id]

    def update(self, session_id: str) -> None:
        """Remember that a session was used; where they are too many, forget another."""
        with self.lock:
            if session_id in self.session_data:
                self.session_data.move_to_end(session_id)
            if len(self.session_data) > MAX_SESSIONS:
                # Calls of the API have no values: they go first, but for the one that is new.
                *older, _ = self.session_data.items()
                bare = (key for key, kept in older if not kept.state_data)
                del self.session_data[next(bare, older[0][0])]

    def make_room(self) -> None:
        """Forget sessions while their values take up too much."""
        with self.lock:
            total = sum(session.bytes for session in self.session_data.values())
            while total > MAX_BYTES and len(self.session_data) > 1:
                _, forgotten = self.session_data.popitem(last=False)
                total -= forgotten.bytes

    def delete_all_expired_state(self) -> None:
        """Gradio calls this every second; once in a while is enough."""
        if time.monotonic() - self._swept > _SWEEP_SECONDS:
            self._swept = time.monotonic()
            with self.lock:
                super().delete_all_expired_state()
