"""What the page calls things in no language: names of networks, fractions, places on a map."""

import numpy as np

from mel_demo.manifest import Counts, ModelSpec

_ARCHITECTURES = {
    "efficientnet_b1": "EfficientNet-B1",
    "mobilenetv3_small_100": "MobileNetV3-Small",
}
_ROWS = ("upper", "", "lower")
_COLUMNS = ("left", "", "right")


def architecture(spec: ModelSpec) -> str:
    """The network's name as papers write it."""
    return _ARCHITECTURES.get(spec.architecture, spec.architecture)


def fractions(counts: Counts) -> dict[str, tuple[int, int]]:
    """The four rates as fractions of images: (part, whole)."""
    return {
        "sensitivity": (counts.tp, counts.melanomas),
        "specificity": (counts.tn, counts.others),
        "ppv": (counts.tp, counts.tp + counts.fp),
        "npv": (counts.tn, counts.tn + counts.fn),
    }


def place(evidence: np.ndarray) -> str:
    """Where in the judged square a map (h, w) is strongest: "upper_left", "left", "centre"."""
    height, width = evidence.shape
    row, column = divmod(int(evidence.argmax()), width)
    named = (_ROWS[row * 3 // height], _COLUMNS[column * 3 // width])
    return "_".join(filter(None, named)) or "centre"
