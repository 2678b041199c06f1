"""What the page's figures show, against plain recomputations and scikit-learn."""

import json
import math

import numpy as np
import pytest
from pydantic import TypeAdapter
from sklearn.calibration import calibration_curve
from sklearn.metrics import roc_auc_score

from mel_demo.decision import conformal as serving
from mel_demo.errors import ManifestError
from mel_demo.manifest import FILE_NAME, Evidence, load_manifest
from tests.support.tiny_weights import evidence_json
from training.data.ham10000 import METADATA
from training.measure.intervals import Bootstrap
from training.measure.metrics import ECE_BINS, Judged
from training.measure.profile import (
    FEWEST,
    OTHER_ALPHA,
    THRESHOLDS,
    conformal,
    distribution,
    evidence,
    net_benefit,
    read_groups,
    reliability,
    subgroups,
)

RNG = np.random.default_rng(5)


def judged(lesions: int = 150, share: float = 0.2, rng=RNG) -> Judged:
    """Lesions with one to three images each; melanomas score higher."""
    of_lesion = rng.random(lesions) < share
    repeats = rng.integers(1, 4, lesions)
    level = rng.normal(np.where(of_lesion, 0.0, -2.0))
    lesion = np.repeat(np.arange(lesions), repeats)
    scores = level[lesion] + rng.normal(0, 0.5, len(lesion))
    return Judged(of_lesion[lesion], 1 / (1 + np.exp(-scores)), np.array([f"L{n}" for n in lesion]))


@pytest.fixture(scope="module")
def sample():
    return judged()


def test_every_image_is_in_one_bin_of_the_distribution(sample):
    found = distribution(sample)
    assert sum(found.melanoma) == sample.melanoma.sum()
    assert sum(found.other) == (~sample.melanoma).sum()
    for index, (low, high) in enumerate(zip(found.edges, found.edges[1:], strict=False)):
        inside = (sample.probability >= low) & (sample.probability < high)
        assert found.melanoma[index] == (inside & sample.melanoma).sum()
    inner = [math.log(edge / (1 - edge)) for edge in found.edges[1:-1]]
    assert np.allclose(np.diff(inner), inner[1] - inner[0])


def test_reliability_is_scikit_learns(sample):
    found = reliability(sample, Bootstrap(sample.lesion_ids, 200))
    observed, predicted = calibration_curve(sample.melanoma, sample.probability, n_bins=ECE_BINS)
    assert [item.predicted for item in found] == pytest.approx(list(predicted))
    assert [item.observed.value for item in found] == pytest.approx(list(observed))
    assert sum(item.images for item in found) == len(sample.melanoma)
    assert all(item.observed.low <= item.observed.value <= item.observed.high for item in found)


def test_net_benefit_is_what_the_paper_says(sample):
    n = len(sample.melanoma)
    share = sample.melanoma.mean()
    for point in net_benefit(sample, Bootstrap(sample.lesion_ids, 200)):
        t = point.threshold
        refer = sample.probability >= t
        tp, fp = (refer & sample.melanoma).sum(), (refer & ~sample.melanoma).sum()
        assert point.model.value == pytest.approx(tp / n - fp / n * t / (1 - t))
        assert point.refer_all == pytest.approx(share - (1 - share) * t / (1 - t))
        assert point.model.low <= point.model.value <= point.model.high
    assert (THRESHOLDS[0], THRESHOLDS[-1]) == (0.01, 0.5)


def test_the_band_knows_the_worst_image_of_each_lesion():
    small = Judged(
        np.array([True, True, True, False, False]),
        np.array([0.9, 0.4, 0.7, 0.2, 0.6]),
        np.array(["a", "a", "b", "c", "c"]),
    )
    found = conformal(small)
    assert found.melanoma == (0.4, 0.7)
    assert found.other_lesions == 1
    assert found.other_upper == 1.0, "one lesion promises nothing"


def test_the_bands_promise_holds_for_lesions_like_those_of_validation():
    """On average over draws: at most alpha of the melanomas below, other_alpha of others above."""
    rng = np.random.default_rng(11)
    cleared, referred, alpha = [], [], 0.0
    for _ in range(60):
        band = serving.band(conformal(judged(400, 0.4, rng)), 0.80, 0.2)
        fresh = judged(400, 0.4, rng)
        worst = {True: {}, False: {}}
        rows = zip(fresh.melanoma, fresh.probability, fresh.lesion_ids, strict=True)
        for melanoma, probability, lesion in rows:
            pick = min if melanoma else max
            held = worst[bool(melanoma)].setdefault(lesion, probability)
            worst[bool(melanoma)][lesion] = pick(held, probability)
        cleared.append(np.mean([p < band.low for p in worst[True].values()]))
        referred.append(np.mean([p >= band.high for p in worst[False].values()]))
        alpha = band.alpha
    noise = 3 / math.sqrt(60)
    assert np.mean(cleared) <= alpha + noise * np.std(cleared)
    assert np.mean(referred) <= OTHER_ALPHA + noise * np.std(referred)
    assert np.mean(cleared) > alpha / 2, "and is not empty"


def test_groups_are_measured_by_themselves(sample):
    sex = np.where(np.arange(len(sample.melanoma)) % 2, "male", "female").astype(object)
    sex[:3] = "unknown"
    found = subgroups(sample, 0.3, {"sex": sex})["sex"]
    assert [group.name for group in found][-1] == "unknown"
    for group in found[:2]:
        rows = sex == group.name
        truth, probability = sample.melanoma[rows], sample.probability[rows]
        assert group.images == rows.sum()
        assert group.melanomas == truth.sum()
        assert group.lesions == len(set(sample.lesion_ids[rows]))
        assert group.roc_auc.value == pytest.approx(roc_auc_score(truth, probability))
        assert group.sensitivity.value == pytest.approx((probability[truth] >= 0.3).mean())
        assert group.specificity.value == pytest.approx((probability[~truth] < 0.3).mean())
        lesions = [len(set(sample.lesion_ids[rows][t])) for t in (truth, ~truth)]
        assert group.small == (min(lesions) < FEWEST)
    assert found[-1].small


def test_a_group_of_one_truth_has_what_can_be_measured(sample):
    group = np.where(sample.melanoma, "melanomas", "others")
    found = {g.name: g for g in subgroups(sample, 0.3, {"x": group})["x"]}
    assert found["melanomas"].specificity.value is found["melanomas"].roc_auc.value is None
    assert found["melanomas"].sensitivity.value == pytest.approx(
        (sample.probability[sample.melanoma] >= 0.3).mean()
    )
    assert found["others"].sensitivity.value is None
    assert found["others"].specificity.value is not None


def test_groups_come_from_the_metadata(tmp_path):
    (tmp_path / METADATA).write_text(
        "lesion_id,image_id,dx,age,sex,localization\n"
        "L1,I1,mel,29.5,male,back\nL2,I2,nv,75,,foot\nL3,I3,nv,,female,\n",
        encoding="utf-8",
    )
    found = read_groups(tmp_path, ("I3", "I1", "I2"))
    assert list(found) == ["sex", "age", "site"], "columns that are not there are left out"
    assert list(found["age"]) == ["unknown", "under 30", "75 and over"]
    assert list(found["sex"]) == ["female", "male", "unknown"]
    assert list(found["site"]) == ["unknown", "back", "foot"]


def test_what_is_written_is_read_back(sample):
    groups = {"sex": np.where(np.arange(len(sample.melanoma)) % 2, "male", "female")}
    written = evidence(sample, sample, 0.3, groups)
    adapter = TypeAdapter(Evidence)
    found = adapter.validate_json(adapter.dump_json(written))
    assert found.conformal == written.conformal
    assert found.distribution.melanoma == written.distribution.melanoma
    assert found.subgroups["sex"][0].roc_auc.value == pytest.approx(
        written.subgroups["sex"][0].roc_auc.value, abs=1e-6
    )
    assert len(found.net_benefit) == len(written.net_benefit)


@pytest.mark.parametrize(
    ("where", "value", "path"),
    [
        (("distribution", "edges"), [0, 0.5], "evidence.distribution.edges"),
        (("distribution", "melanoma"), [1], "evidence.distribution.melanoma"),
        (("conformal", "melanoma"), [0.5, 0.1], "evidence.conformal.melanoma"),
        (("conformal", "other_upper"), 2, "evidence.conformal.other_upper"),
        (("reliability",), {}, "evidence.reliability"),
        (("subgroups", "sex", 0, "small"), "no", "evidence.subgroups.sex[0].small"),
        (("net_benefit", 0, "threshold"), -1, "evidence.net_benefit[0].threshold"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused_by_key(
    where, value, path, manifest_json, tmp_path
):
    part = manifest_json["models"]["student"]["evidence"] = evidence_json()
    *way, last = where
    for step in way:
        part = part[step]
    part[last] = value
    (tmp_path / FILE_NAME).write_text(json.dumps(manifest_json), encoding="utf-8")
    with pytest.raises(ManifestError) as caught:
        load_manifest(tmp_path)
    assert f"models.student.{path}:" in str(caught.value)
