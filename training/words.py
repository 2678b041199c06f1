"""Measured numbers in words, the same in tables, cards and README. Knows no file and no model."""

from mel_demo.manifest import Interval

TARGET_METRICS = {
    target: {
        "roc_auc": f"ROC-AUC, {words} against the rest",
        "average_precision": "Average precision",
        "sensitivity_at_95": "Sensitivity at the 95 % setting",
        "specificity_at_95": "Specificity at the 95 % setting",
        "ece": f"ECE of the {words} probability, 15 bins",
        "brier": f"Brier score of the {words} probability",
    }
    for target, words in (("melanoma", "melanoma"), ("skin_cancer", "skin cancer"))
}
METRICS = TARGET_METRICS["melanoma"]
SETTINGS = (0.8, 0.9, 0.95, 0.98)
"""Target sensitivities that tables show."""
PERCENT = ("sensitivity_at_95", "specificity_at_95", "same_decision_at_95", "balanced_accuracy")
AGREEMENT = {
    "same_decision_at_95": "Same decision, each at its own threshold",
    "spearman": "Rank correlation of melanoma probabilities (Spearman)",
    "mean_absolute_difference": "Mean difference of melanoma probabilities",
    "kl": "KL divergence of the seven classes, nats",
}
DIAGNOSES = {
    "akiec": "actinic keratosis",
    "bcc": "basal cell carcinoma",
    "bkl": "benign keratosis",
    "df": "dermatofibroma",
    "mel": "melanoma",
    "nv": "nevus (mole)",
    "vasc": "vascular lesion",
}

CLASS_METRICS = {
    "balanced_accuracy": "Balanced accuracy",
    **{f"roc_auc_{name}": f"ROC-AUC, {words}" for name, words in DIAGNOSES.items()},
}
"""Of the seven diagnoses, each against the rest."""


def show(interval: Interval, percent: bool = False) -> str:
    """A value and its interval, "0.912 (0.880 to 0.941)", in percent "91.2 % (88.0 to 94.1)".

    "undefined" where there is no value.
    """
    if interval.value is None:
        return "undefined"
    scale, digits, unit = (100, 1, " %") if percent else (1, 3, "")
    value = f"{interval.value * scale:.{digits}f}{unit}"
    if interval.low is None:
        return value
    return f"{value} ({interval.low * scale:.{digits}f} to {interval.high * scale:.{digits}f})"


def percent(probability: float) -> str:
    """A probability, "3.1 %", below one percent "0.03 %"."""
    return f"{100 * probability:.{2 if probability < 0.01 else 1}f} %"


def megabytes(size: int) -> str:
    """Bytes as millions of them: "6.1"."""
    return f"{size / 1e6:.1f}"
