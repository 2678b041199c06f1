"""Turns: who is alone has all cores, and a crowd has one each."""

import threading

import pytest

from mel_demo.ui.turns import Turns


@pytest.fixture
def turns(monkeypatch: pytest.MonkeyPatch) -> Turns:
    """Of two cores."""
    monkeypatch.setattr("mel_demo.ui.turns.cores", lambda: 2)
    return Turns()


def test_only_who_finds_nobody_is_alone(turns: Turns) -> None:
    found: list[bool] = []

    def come() -> None:
        with turns.one() as alone:
            found.append(alone)

    with turns.one() as first:
        assert first
        others = [threading.Thread(target=come) for _ in range(5)]
        for other in others:
            other.start()
        for other in others:
            other.join()
    assert found == [False] * 5
    with turns.one() as again:
        assert again


def test_a_failure_gives_its_turn_back(turns: Turns) -> None:
    def fail() -> None:
        with turns.one():
            raise KeyError

    for _ in range(5):
        with pytest.raises(KeyError):
            fail()
    with turns.one() as alone:
        assert alone
