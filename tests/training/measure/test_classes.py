"""The seven diagnoses against scikit-learn, and what lacks a class."""

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from mel_demo.manifest import CLASS_NAMES
from training.measure.classes import class_metrics


@pytest.fixture(scope="module")
def split() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, probabilities and lesions of 300 images; the first seven classes occur unevenly."""
    rng = np.random.default_rng(5)
    labels = np.r_[np.arange(7), rng.choice(7, 293, p=[0.05, 0.1, 0.1, 0.05, 0.2, 0.45, 0.05])]
    logits = rng.normal(size=(300, 7)) + 1.5 * np.eye(7)[labels]
    powers = np.exp(logits)
    return labels, powers / powers.sum(1, keepdims=True), np.arange(300) // 2


def test_they_are_scikit_learns(split) -> None:
    labels, probabilities, lesions = split
    found = class_metrics(labels, probabilities, lesions)
    assert list(found) == ["balanced_accuracy", *(f"roc_auc_{name}" for name in CLASS_NAMES)]
    wanted = balanced_accuracy_score(labels, probabilities.argmax(1))
    assert found["balanced_accuracy"].value == pytest.approx(wanted)
    for index, name in enumerate(CLASS_NAMES):
        value = found[f"roc_auc_{name}"].value
        assert value == pytest.approx(roc_auc_score(labels == index, probabilities[:, index]))
    for interval in found.values():
        assert interval.low < interval.value < interval.high


def test_a_mean_over_fewer_classes_is_not_measured(split) -> None:
    labels, probabilities, lesions = split
    few = labels != 3
    assert class_metrics(labels[few], probabilities[few], lesions[few]) == {}
