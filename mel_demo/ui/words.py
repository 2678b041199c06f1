"""What the page calls things, and how it writes numbers. Plain words, the field's term beside them.

Knows text alone: no HTML, no Gradio.
"""

from mel_demo.manifest import Counts, Interval, ModelSpec

ROLES = {"teacher": "Teacher", "student": "Student", "student_int8": "Student INT8"}
_ARCHITECTURES = {
    "efficientnet_b1": "EfficientNet-B1",
    "mobilenetv3_small_100": "MobileNetV3-Small",
}
DIAGNOSES = {
    "akiec": "Actinic keratosis or Bowen's disease",
    "bcc": "Basal cell carcinoma",
    "bkl": "Benign keratosis",
    "df": "Dermatofibroma",
    "mel": "Melanoma",
    "nv": "Melanocytic nevus (mole)",
    "vasc": "Vascular lesion",
}
REFER, NO_REFERRAL = "Refer", "No referral at this setting"
_ROWS = ("upper", "middle", "lower")
_COLUMNS = ("left", "centre", "right")


def architecture(spec: ModelSpec) -> str:
    """The network's name as papers write it."""
    return _ARCHITECTURES.get(spec.architecture, spec.architecture)


def percent(value: float) -> str:
    """A share as percent, with more digits where it is small: "37 %", "4.1 %", "0.03 %"."""
    for low, digits in ((0.1, 0), (0.01, 1)):
        if value >= low:
            # 0.9996 must not read as certain.
            shown = 100 * value if value == 1 else min(100 * value, 99.9)
            return f"{shown:.{1 if 99 < shown < 100 else digits}f} %"
    return f"{100 * value:.2f} %" if value >= 0.0001 or value == 0 else "under 0.01 %"


def target(value: float) -> str:
    """A target sensitivity: "95 %", "99.5 %"."""
    return f"{100 * value:.3g} %"


def share(interval: Interval) -> str:
    """A measured share with its interval: "85.5 % (78.9–90.9)"."""
    if interval.value is None:
        return "not defined"
    return f"{interval.value:.1%} ({100 * interval.low:.1f}–{100 * interval.high:.1f})".replace(
        "%", " %", 1
    )


def fractions(counts: Counts) -> dict[str, tuple[int, int]]:
    """The four rates as fractions of images: (part, whole)."""
    return {
        "sensitivity": (counts.tp, counts.melanomas),
        "specificity": (counts.tn, counts.others),
        "ppv": (counts.tp, counts.tp + counts.fp),
        "npv": (counts.tn, counts.tn + counts.fn),
    }


def place(evidence) -> str:
    """Where in the judged square a map (h, w) is strongest: "upper left", "centre"."""
    height, width = evidence.shape
    row, column = divmod(int(evidence.argmax()), width)
    vertical, horizontal = _ROWS[row * 3 // height], _COLUMNS[column * 3 // width]
    if vertical == "middle":
        return horizontal if horizontal == "centre" else f"{horizontal} edge"
    return vertical + (f" {horizontal}" if horizontal != "centre" else " edge")
