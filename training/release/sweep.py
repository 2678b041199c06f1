"""Try INT8 candidates of one student on validation, keep every row, choose the best that passes.

Knows how to try, measure and rank; ``candidates`` says what is tried, ``int8`` makes a file,
``gate`` says what passes. Looks at no holdout image.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnxruntime as ort
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from mel_demo.decision.operating_point import DEFAULT_TARGET
from mel_demo.images import normalise
from mel_demo.inference import softmax
from mel_demo.manifest import MELANOMA, Preprocessing
from training.data.ham10000 import Images
from training.errors import ExportError
from training.measure.metrics import ece, point_at, roc_auc
from training.measure.scores import Scores, fit_temperature, open_session
from training.provenance import sha256
from training.release.int8 import Candidate, calibrate, float_graph, quantise
from training.words import megabytes

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


_LOG_WIDTH = 170


@dataclass(frozen=True)
class Row:
    """One file as measured on validation; ``candidate`` is None for the single-precision student.

    ``temperature`` and ``threshold`` (the 95 % setting) are the file's own. ``divergence``: mean KL
    divergence of its seven probabilities from the single-precision ones, nats; ``elsewhere``: the
    same on training images of other data sets, by name. ``milliseconds``: median of one run of the
    model. ``reasons``: why the gate refuses it.
    """

    candidate: Candidate | None
    quality: Quality
    temperature: float
    threshold: float
    divergence: float
    milliseconds: float
    sha256: str
    reasons: tuple[str, ...] = ()
    elsewhere: Mapping[str, float] = field(default_factory=dict)

    @property
    def farthest(self) -> float:
        """``divergence`` where it is largest: of validation and of every other data set."""
        return max(self.divergence, *self.elsewhere.values(), 0.0)


@dataclass(frozen=True)
class Sweep:
    """``chosen``: index into ``rows`` of the file to release; None when none passes."""

    reference: Row
    rows: tuple[Row, ...]
    chosen: int | None


@dataclass(frozen=True, eq=False)
class _Said:
    """What a file says of validation: scores at its own temperature, and maps (N, h, w).

    ``elsewhere``: probabilities (M, 7), at that temperature, of images of other data sets.
    """

    scores: Scores
    maps: np.ndarray
    milliseconds: float
    elsewhere: dict[str, np.ndarray]


def sweep(
    student: Path,
    candidates: tuple[Candidate, ...],
    calibration_images: np.ndarray,
    validation: Images,
    pixels: np.ndarray,
    elsewhere: Mapping[str, np.ndarray],
    preprocessing: Preprocessing,
    gate: Gate,
    metadata: dict[str, str],
    folder: Path,
) -> Sweep:
    """Write each candidate of the file ``student`` to ``folder`` (see ``path_of``) and measure it.

    ``calibration_images``: float32 (M, 3, S, S), normalised, of the training split. ``pixels``:
    uint8 (N, S, S, 3), those of ``validation``, prepared as served; ``elsewhere``: the like, of
    training images of other data sets. ``metadata``: for the files.
    Raises ExportError when a file's outputs have another shape than the student's, or are not
    finite.
    """
    model, ranges = float_graph(student), {}
    wanted = dict.fromkeys(candidate.calibration for candidate in candidates)
    with Progress() as progress:
        task = progress.add_task("Sweep", total=1 + len(wanted) + len(candidates))

        def step(words: str) -> None:
            progress.update(task, advance=1, description=words)

        said = _listen(student, validation, pixels, elsewhere, preprocessing)
        reference = _measure(None, student, said, said)
        step("single precision")
        for calibration in wanted:
            ranges[calibration] = calibrate(model, calibration, calibration_images)
            step(f"calibrated: {calibration}")
        rows = []
        for index, candidate in enumerate(candidates):
            path = path_of(folder, index)
            described = metadata | {"quantisation": str(candidate)}
            quantise(model, candidate, ranges[candidate.calibration], path, described)
            found = _listen(path, validation, pixels, elsewhere, preprocessing)
            rows.append(_measure(candidate, path, found, said, gate, reference))
            step(f"{index + 1} of {len(candidates)}")
    return Sweep(reference, tuple(rows), choose_best(rows))


def path_of(folder: Path, index: int) -> Path:
    """Where ``sweep`` writes the candidate at ``index``."""
    return folder / f"candidate-{index:02}.onnx"


def choose_best(rows: list[Row]) -> int | None:
    """Index of the row to release, None when none passes.

    Of those that pass, files with 7-bit weights come first: on x86 processors without VNNI sums of
    8-bit products saturate, and such a file would be served there otherwise than it was measured.
    Then the one whose probabilities stay nearest to the single-precision ones, on validation and
    on every other data set: differences in ROC-AUC between rows that pass are smaller than its
    error, and what is near on one clinic's cameras may be far on another's.
    """
    passing = [
        (not row.candidate.reduce_range, row.farthest, index)
        for index, row in enumerate(rows)
        if row.candidate is not None and not row.reasons
    ]
    return min(passing)[-1] if passing else None


def print_sweep(found: Sweep, console: Console | None = None) -> None:
    """A table of every row, and below it why rows were refused."""
    console = console or Console()
    if not console.is_terminal:  # a log needs no folded rows
        console = Console(width=_LOG_WIDTH, file=console.file)
    table = Table(box=SIMPLE_HEAD, title="INT8 candidates on validation", padding=(0, 1, 0, 0))
    table.add_column("")
    table.add_column("settings", overflow="fold")
    for heading in ("ROC-AUC", "spec. at 95", "ECE", "T", "KL", "worst", "map", "MB", "ms", "gate"):
        table.add_column(heading, no_wrap=True, justify="right")
    for index, row in enumerate((found.reference, *found.rows)):
        chosen = found.chosen is not None and index == found.chosen + 1
        quality = row.quality
        table.add_row(
            str(index or ""),
            str(row.candidate or "single precision"),
            f"{quality.roc_auc:.4f}",
            f"{quality.specificity_at_95:.1%}",
            f"{quality.ece:.3f}",
            f"{row.temperature:.2f}",
            f"{row.divergence:.4f}",
            f"{row.farthest:.4f}",
            f"{quality.map_correlation:.3f}",
            megabytes(quality.bytes),
            f"{row.milliseconds:.1f}",
            "chosen" if chosen else "refused" if row.reasons else "passes" if index else "",
            style="bold" if chosen else None,
        )
    console.print(table)
    for index, row in enumerate(found.rows, start=1):
        if row.reasons:
            console.print(f"{index} is refused: {'; '.join(row.reasons)}", highlight=False)


def _listen(
    path: Path,
    validation: Images,
    pixels: np.ndarray,
    elsewhere: Mapping[str, np.ndarray],
    preprocessing: Preprocessing,
) -> _Said:
    """Run a file on each image alone, as it is served."""
    session = open_session(path)
    logits, maps, times = [], [], []
    for row in pixels:
        image = normalise(row[None], preprocessing)
        start = time.perf_counter()
        found = session.run(["logits", "cam"], {"image": image})
        times.append(time.perf_counter() - start)
        if not all(np.isfinite(values).all() for values in found):
            raise ExportError(f"{path.name} gives numbers that are not finite: it was not kept.")
        logits.append(found[0][0])
        maps.append(found[1][0, MELANOMA])
    stacked = np.stack(logits)
    temperature = fit_temperature(stacked, validation.labels)
    scores = Scores(
        validation.image_ids, validation.lesion_ids, validation.labels, stacked, temperature
    )
    others = {
        name: np.stack([_probability(session, row, preprocessing, temperature) for row in images])
        for name, images in elsewhere.items()
    }
    return _Said(scores, np.stack(maps), float(np.median(times)) * 1000, others)


def _probability(
    session: ort.InferenceSession,
    pixels: np.ndarray,
    preprocessing: Preprocessing,
    temperature: float,
) -> np.ndarray:
    (logits,) = session.run(["logits"], {"image": normalise(pixels[None], preprocessing)})
    return softmax(logits[0], temperature)


def _measure(
    candidate: Candidate | None,
    path: Path,
    said: _Said,
    reference: _Said,
    gate: Gate | None = None,
    compared_with: Row | None = None,
) -> Row:
    if said.maps.shape != reference.maps.shape:
        raise ExportError(
            f"{path.name} gives evidence maps of shape {said.maps.shape}, the student's have "
            f"{reference.maps.shape}: it was not kept."
        )
    judged = said.scores.judged()
    threshold, counted = point_at(judged, DEFAULT_TARGET)
    quality = Quality(
        roc_auc=roc_auc(judged),
        specificity_at_95=counted.tn / counted.others,
        ece=ece(judged),
        map_correlation=correlation(said.maps, reference.maps),
        bytes=path.stat().st_size,
    )
    return Row(
        candidate=candidate,
        quality=quality,
        temperature=said.scores.temperature,
        threshold=threshold,
        divergence=_divergence(reference.scores.probabilities(), said.scores.probabilities()),
        milliseconds=said.milliseconds,
        sha256=sha256(path),
        elsewhere={
            name: _divergence(reference.elsewhere[name], found)
            for name, found in said.elsewhere.items()
        },
        reasons=gate.reasons(quality, compared_with.quality) if gate and compared_with else (),
    )


def correlation(maps: np.ndarray, reference: np.ndarray) -> float:
    """Mean over images of Pearson's correlation of two maps, (N, h, w) each.

    A map that is the same everywhere has none: 1 where both are such maps, 0 where one is.
    """
    a, b = (values.reshape(len(values), -1).astype(np.float64) for values in (maps, reference))
    a, b = (values - values.mean(1, keepdims=True) for values in (a, b))
    flat_a, flat_b = (np.abs(values).max(1) == 0 for values in (a, b))
    spread = np.sqrt((a**2).sum(1) * (b**2).sum(1))
    found = np.divide((a * b).sum(1), spread, out=np.zeros(len(a)), where=spread > 0)
    return float(np.where(flat_a & flat_b, 1.0, found).mean())


def _divergence(reference: np.ndarray, found: np.ndarray) -> float:
    # softmax may underflow to 0, whose logarithm has no value; 1e-300 stays a float.
    ratio = np.log(np.maximum(reference, 1e-300)) - np.log(np.maximum(found, 1e-300))
    return float((reference * ratio).sum(1).mean())
