"""The seven diagnoses as a result of their own: balanced accuracy, and ROC-AUC of each class.

Knows arrays alone: no model, no file.
"""

import numpy as np

from mel_demo.manifest import CLASS_NAMES, Interval
from training.measure.intervals import Array, Bootstrap, divide, interval
from training.measure.metrics import Judged, roc_auc


def class_metrics(labels: Array, probabilities: Array, lesion_ids: Array) -> dict[str, Interval]:
    """``balanced_accuracy`` and ``roc_auc_<class>``, each class against the rest.

    ``labels`` int (N,), index into CLASS_NAMES; ``probabilities`` float64 (N, 7). Empty where a
    class has no image: a mean over fewer classes would pass for one over seven.
    """
    truth = labels[:, None] == np.arange(len(CLASS_NAMES))
    if not truth.any(0).all():
        return {}
    bootstrap = Bootstrap(lesion_ids)
    weights = bootstrap.image_weights()
    found = {"balanced_accuracy": _balanced_accuracy(truth, probabilities, bootstrap)}
    for index, name in enumerate(CLASS_NAMES):
        judged = Judged(truth[:, index], np.minimum(probabilities[:, index], 1.0), lesion_ids)
        lesions = judged.lesions()
        found[f"roc_auc_{name}"] = interval(
            roc_auc(judged), roc_auc(judged, weights), min(lesions.melanoma, lesions.other)
        )
    return found


def _balanced_accuracy(truth: Array, probabilities: Array, bootstrap: Bootstrap) -> Interval:
    """Mean over classes of the share of its images whose largest probability is its own."""
    right = truth & (probabilities.argmax(1) == truth.argmax(1))[:, None]
    # A class that a resample lacks has no share there: the mean is over the others.
    draws = np.nanmean(divide(bootstrap.sums(right), bootstrap.sums(truth)), 1)
    return interval(float((right.sum(0) / truth.sum(0)).mean()), draws)
