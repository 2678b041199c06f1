"""Temperature: found again where it is known, and better probabilities where it is not."""

import numpy as np
import pytest
from scipy.special import softmax

from mel_demo.manifest import MELANOMA
from training.errors import DataError
from training.measure.scores import fit_temperature, melanoma_log_loss


def sample(temperature: float, count: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Logits that are ``temperature`` times too sharp for labels drawn from them."""
    rng = np.random.default_rng(0)
    true = rng.normal(0, 1.5, (count, 7))
    labels = (softmax(true, axis=1).cumsum(1) > rng.random((count, 1))).argmax(1)
    return true * temperature, labels


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_known_temperature_is_found_again(temperature):
    logits, labels = sample(temperature)
    assert fit_temperature(logits, labels) == pytest.approx(temperature, rel=0.06)


def test_the_loss_by_hand_and_its_least_value():
    logits = np.zeros((2, 7))
    labels = np.array([MELANOMA, 0])
    expected = -(np.log(1 / 7) + np.log(6 / 7)) / 2
    assert melanoma_log_loss(logits, labels, 3.0) == pytest.approx(expected)
    logits, labels = sample(3.0, 500)
    best = fit_temperature(logits, labels)
    least = melanoma_log_loss(logits, labels, best)
    for other in (0.8 * best, 1.25 * best, 1.0):
        assert melanoma_log_loss(logits, labels, other) > least


def test_one_truth_alone_is_refused():
    with pytest.raises(DataError, match="0 of 5 images are melanoma"):
        fit_temperature(np.zeros((5, 7)), np.zeros(5, int))
