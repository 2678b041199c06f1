"""What a quantised student must still do, compared with the one it was made from.

Pure: numbers in, reasons out. It does not know how either model was measured, nor how it was made.
"""

from dataclasses import dataclass

# A difference of 0.95 - 0.93 is 0.020000000000000018: that is still within 0.02.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Quality:
    """What the gate looks at, measured on validation with the file's own temperature.

    ``specificity_at_95``: at the 95 % setting, 0..1. ``map_correlation``: mean Pearson correlation
    of the melanoma evidence maps with the single-precision ones. ``external_roc_auc``: on a set
    from elsewhere; None when there is none.
    """

    roc_auc: float
    specificity_at_95: float
    ece: float
    map_correlation: float
    bytes: int
    external_roc_auc: float | None = None


@dataclass(frozen=True)
class Gate:
    """Limits. The first three are of what may be lost: a file that gained is not refused for it."""

    roc_auc_loss: float = 0.003
    specificity_loss: float = 0.02
    external_roc_auc_loss: float = 0.01
    most_ece: float = 0.035
    least_map_correlation: float = 0.95
    most_bytes: int = 2_000_000

    def reasons(self, found: Quality, reference: Quality) -> tuple[str, ...]:
        """Why ``found`` is refused, one reason a rule; empty when it passes.

        ``reference``: the single-precision student, measured on the same images. Its external
        ROC-AUC is compared when both have one.
        """
        losses = [
            ("ROC-AUC", found.roc_auc, reference.roc_auc, self.roc_auc_loss),
            (
                "specificity at the 95 % setting",
                found.specificity_at_95,
                reference.specificity_at_95,
                self.specificity_loss,
            ),
        ]
        if found.external_roc_auc is not None and reference.external_roc_auc is not None:
            losses.append(
                (
                    "external ROC-AUC",
                    found.external_roc_auc,
                    reference.external_roc_auc,
                    self.external_roc_auc_loss,
                )
            )
        refused = [
            f"{name} {value:.4f} is {before - value:.4f} below {before:.4f}, allowed {limit:g}"
            for name, value, before, limit in losses
            if before - value > limit + _ROUNDING
        ]
        if found.ece > self.most_ece + _ROUNDING:
            refused.append(f"ECE {found.ece:.4f} is above {self.most_ece:g}")
        if found.map_correlation < self.least_map_correlation - _ROUNDING:
            refused.append(
                f"evidence map correlation {found.map_correlation:.3f} is below "
                f"{self.least_map_correlation:g}"
            )
        if found.bytes > self.most_bytes:
            refused.append(f"{found.bytes} bytes are more than {self.most_bytes}")
        return tuple(refused)
