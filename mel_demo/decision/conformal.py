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
from bisect import bisect_left
from dataclasses import dataclass
from enum import StrEnum

from mel_demo.decision.operating_point import check_target
from mel_demo.manifest import Conformal, Scores

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
    """What a band did: ``melanomas_cleared`` of ``melanomas`` images lay below it,
    ``others_referred`` of ``others`` above it, and ``uncertain`` of all ``images`` in it."""

    melanomas_cleared: int
    melanomas: int
    others_referred: int
    others: int
    uncertain: int

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


def measured(scores: Scores, band: Band) -> BandCounts:
    """What ``band`` did on the images of ``scores``, which are kept to five decimals."""
    both = (scores.positive, scores.negative)
    to_low, to_high = ([bisect_left(part, edge) for part in both] for edge in (band.low, band.high))
    return BandCounts(
        melanomas_cleared=to_low[0],
        melanomas=len(scores.positive),
        others_referred=len(scores.negative) - to_high[1],
        others=len(scores.negative),
        uncertain=sum(to_high) - sum(to_low),
    )
