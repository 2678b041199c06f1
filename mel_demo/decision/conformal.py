"""Between "refer" and "no referral" a band of probabilities where a human is needed. Pure.

Split conformal prediction over validation lesions, each class for itself (Vovk 2012, "Conditional
validity of inductive conformal predictors", arXiv 1209.2673; Angelopoulos and Bates 2021, arXiv
2107.07511). Knows neither models nor how the lesions' probabilities came about.

What is promised: of lesions exchangeable with the validation lesions, at most ``alpha`` of the
melanomas have an image that is plainly cleared, and at most ``other_alpha`` of the others one that
is plainly referred. That holds for the same kind of clinic, camera and patients, and no further;
on average over draws of validation lesions, so that one set of 92 melanomas may lie off by a few
percent; and approximately, as validation chose temperature and epoch too.
"""

import math
from dataclasses import dataclass
from enum import StrEnum

from mel_demo.decision.operating_point import check_target
from mel_demo.manifest import Conformal, Counts, OperatingTable

# (1 - 0.9) / 2 is 0.04999999999999999: not one melanoma less.
_ROUNDING = 1e-9


class Outcome(StrEnum):
    """What the band says of one melanoma probability."""

    NO_REFERRAL = "no_referral"
    UNCERTAIN = "uncertain"
    REFER = "refer"


@dataclass(frozen=True)
class Band:
    """Probabilities from ``low`` up to ``high`` are uncertain; 0 <= low <= high <= 1.

    ``alpha``, ``other_alpha``: the largest shares of melanomas plainly cleared and of other lesions
    plainly referred that are promised (see above). ``melanomas``, ``others``: the validation
    lesions behind either promise.
    """

    low: float
    high: float
    alpha: float
    other_alpha: float
    melanomas: int
    others: int

    def outcome(self, probability: float) -> Outcome:
        """No referral below ``low``, refer from ``high`` on, uncertain between."""
        if probability < self.low:
            return Outcome.NO_REFERRAL
        return Outcome.REFER if probability >= self.high else Outcome.UNCERTAIN


@dataclass(frozen=True)
class BandCounts:
    """What a band did on holdout images: each number is exact, or an upper bound if not ``exact``.

    ``melanomas_cleared`` of ``melanomas`` lay below the band, ``others_referred`` of ``others``
    above it, and ``uncertain`` of all ``images`` in it.
    """

    melanomas_cleared: int
    melanomas: int
    others_referred: int
    others: int
    uncertain: int
    exact: bool

    @property
    def images(self) -> int:
        return self.melanomas + self.others


def band(conformal: Conformal, target_sensitivity: float, threshold: float) -> Band:
    """The band around ``threshold`` (0..1) for a target sensitivity s (0.8..0.995; SettingError).

    alpha is (1 - s) / 2: half of the misses that the target allows may be plain ones. ``low`` is
    the k-th smallest of n melanoma lesions' lowest probabilities with k = floor((n + 1) alpha); 0
    where k is 0, as n is then too few to promise anything and nothing is cleared outright. ``high``
    is ``other_upper``. Either edge gives way to ``threshold``, so that low <= threshold <= high:
    that widens the band, and the promise stands.
    """
    alpha = (1 - check_target(target_sensitivity)) / 2
    rank = math.floor((len(conformal.melanoma) + 1) * alpha + _ROUNDING)
    low = conformal.melanoma[rank - 1] if rank else 0.0
    return Band(
        low=min(low, threshold),
        high=max(conformal.other_upper, threshold),
        alpha=alpha,
        other_alpha=conformal.other_alpha,
        melanomas=len(conformal.melanoma),
        others=conformal.other_lesions,
    )


def measured(table: OperatingTable, band: Band) -> BandCounts:
    """What ``band`` did on holdout, from the rows of the same model's operating table.

    Where an edge lies between two rows, each number is read from the row that makes it larger:
    melanomas cleared from the next row above ``low``, others referred from the next row below
    ``high``, uncertain from the next row below ``low`` to the next one above ``high``.
    """
    below_low, above_low = _rows_around(table, band.low)
    below_high, above_high = _rows_around(table, band.high)
    return BandCounts(
        melanomas_cleared=above_low.fn,
        melanomas=above_low.melanomas,
        others_referred=below_high.fp,
        others=above_low.others,
        uncertain=(below_low.tp + below_low.fp) - (above_high.tp + above_high.fp),
        exact=_same(below_low, above_low) and _same(below_high, above_high),
    )


def _same(one: Counts, other: Counts) -> bool:
    return (one.tp, one.fp) == (other.tp, other.fp)


def _rows_around(table: OperatingTable, threshold: float) -> tuple[Counts, Counts]:
    """Holdout counts at the next threshold at or below, and at the next one at or above."""
    first = table.rows[0].holdout
    everyone = Counts(tp=first.melanomas, fp=first.others, fn=0, tn=0)
    no_one = Counts(tp=0, fp=0, fn=first.melanomas, tn=first.others)
    below = (row.holdout for row in table.rows if row.threshold <= threshold)
    above = (row.holdout for row in reversed(table.rows) if row.threshold >= threshold)
    # A threshold of 0 refers everyone, whatever the lowest row does.
    return next(below, everyone), everyone if threshold == 0 else next(above, no_one)
