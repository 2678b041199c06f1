"""What a written file says of where it came from."""

import sys

import pytest

from training.provenance import command


def test_a_recorded_command_tells_nothing_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    words = "-m training export --teacher runs/teacher --data ../shared/HAM10000 --splits=/a/s.csv"
    more = ["--output", "/home/me/weights", "--set", "augmentation.scale=[0.7,1.0]"]
    monkeypatch.setattr(sys, "orig_argv", ["/usr/bin/python3", *words.split(), *more])
    assert command() == (
        "python -m training export --teacher runs/teacher --data HAM10000 --splits=s.csv "
        "--output weights --set 'augmentation.scale=[0.7,1.0]'"
    )
