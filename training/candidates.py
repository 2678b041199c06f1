"""Which settings of the quantiser are tried. Frozen data: no graph, no file, no number measured.

Post-training quantisation of MobileNetV3 is erratic, so no setting is taken to be good beforehand.
"""

from dataclasses import dataclass
from itertools import product
from typing import Literal

# Parts of a trunk that may be kept in float (found by ``int8.parts_of``).
REGIONS = ("squeeze-excite", "stem", "depthwise", "hard-swish")


@dataclass(frozen=True)
class Calibration:
    """How ranges are taken from inner values seen on calibration images.

    ``percentile``: share of the values inside the range, %, for the method "percentile" alone.
    """

    method: Literal["minmax", "percentile", "entropy"]
    percentile: float | None = None

    def __str__(self) -> str:
        return self.method if self.percentile is None else f"{self.method} {self.percentile:g}"


@dataclass(frozen=True)
class Candidate:
    """One setting of the quantiser.

    ``activations``: 8-bit type of inner values. ``per_channel``: a scale for each output channel
    of a weight. ``reduce_range``: weights of 7 bits. ``keep_float``: parts of the trunk that are
    not quantised. ``elementwise``: residual sums and squeeze-excite products are quantised too.
    """

    calibration: Calibration
    activations: Literal["U8", "S8"] = "U8"
    per_channel: bool = True
    reduce_range: bool = True
    keep_float: tuple[str, ...] = ("squeeze-excite",)
    elementwise: bool = False

    def __str__(self) -> str:
        words = [
            str(self.calibration),
            self.activations,
            "per channel" if self.per_channel else "per tensor",
            "7-bit weights" if self.reduce_range else "8-bit weights",
            *(["sums and products too"] if self.elementwise else []),
            f"in float: {' + '.join(self.keep_float) or 'nothing'}",
        ]
        return ", ".join(words)


_MINMAX = Calibration("minmax")
_CALIBRATIONS = (
    _MINMAX,
    *(Calibration("percentile", share) for share in (99.999, 99.99, 99.9)),
    Calibration("entropy"),
)
_FEW = ("squeeze-excite", "stem")
_MORE = (*_FEW, "depthwise")


def grid() -> tuple[Candidate, ...]:
    """Every calibration with three settings, then one departure at a time."""
    settings = ((True, _FEW), (True, _MORE), (False, _MORE))
    crossed = (
        Candidate(calibration, reduce_range=seven, keep_float=kept)
        for calibration, (seven, kept) in product(_CALIBRATIONS, settings)
    )
    departures = (
        Candidate(_MINMAX, keep_float=()),
        Candidate(_MINMAX, keep_float=("squeeze-excite",)),
        Candidate(_MINMAX, keep_float=("squeeze-excite", "hard-swish")),
        Candidate(_MINMAX, keep_float=_FEW, activations="S8"),
        Candidate(_MINMAX, keep_float=_FEW, elementwise=True),
        Candidate(_MINMAX, keep_float=_FEW, per_channel=False),
        Candidate(_MINMAX, keep_float=_FEW, per_channel=False, reduce_range=False),
        Candidate(_MINMAX, keep_float=_FEW, reduce_range=False),
    )
    return (*crossed, *departures)
