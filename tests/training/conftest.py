"""What all tests of training share."""

from collections.abc import Iterator

import pytest
import torch

from training.data import not_dermoscopy


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Networks this small are slower on several threads than on one."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def _few_pictures_that_are_no_dermoscopy() -> Iterator[None]:
    """Every export draws and judges them: of each source a sixth is enough to see it done."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(not_dermoscopy, "_CROPS", 2)
        patch.setattr(not_dermoscopy, "_DRAWINGS", 7)
        yield
