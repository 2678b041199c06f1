"""All models judge one image once, and the image's own weaknesses are named."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mel_demo import inference
from mel_demo.errors import ManifestError, WeightsError
from mel_demo.findings import findings, look
from mel_demo.screening import Screener
from tests.support.lesions import draw_lesion
from tests.support.tiny_weights import melanoma_probability

RED = np.full((450, 600, 3), (255, 0, 0), np.uint8)


def test_both_models_judge_the_image(tiny_screener: Screener) -> None:
    screening = tiny_screener.screen(RED)
    assert screening.image is RED
    assert list(screening.predictions) == ["teacher", "student"]
    assert screening.teacher.melanoma_probability == pytest.approx(melanoma_probability(1), 1e-3)
    assert screening.student.melanoma_probability == pytest.approx(melanoma_probability(0, 2), 1e-3)
    assert [finding.code for finding in screening.findings] == ["underexposed"]
    assert not screening.refused
    assert screening.milliseconds > 0


@pytest.mark.parametrize(("blue", "refused"), [(120, False), (136, True)])
def test_what_is_far_from_dermoscopy_is_refused(
    refusing_weights: Path, blue: int, refused: bool
) -> None:
    rgb = np.full((200, 200, 3), (200, 128, blue), np.uint8)
    screening = Screener(refusing_weights, threads=1).screen(rgb)
    assert screening.student.distance == pytest.approx(4 * blue / 255, rel=1e-4)
    assert screening.teacher.distance is None
    assert screening.refused is refused
    codes = [finding.code for finding in screening.findings]
    assert codes == (["not_dermoscopy"] if refused else ["no_lesion"])
    # Whoever insists gets what the models say.
    assert screening.student.melanoma_probability == pytest.approx(
        melanoma_probability(128 / 255, 2), 1e-3
    )


def test_what_has_no_colour_is_refused(refusing_weights: Path) -> None:
    grey = np.asarray(draw_lesion("nv", size=(400, 300)).convert("L").convert("RGB"))
    screening = Screener(refusing_weights, threads=1).screen(grey // 2)  # distance below the limit
    assert screening.student.distance < 2
    assert screening.refused
    assert "no colours" in screening.findings[0].text


def count_preparations(screener: Screener, monkeypatch: pytest.MonkeyPatch) -> int:
    calls = []
    original = inference.prepare
    with monkeypatch.context() as patch:
        patch.setattr(inference, "prepare", lambda *args: calls.append(args) or original(*args))
        screener.screen(RED)
    return len(calls)


def test_models_that_want_the_image_alike_share_its_preparation(
    tiny_screener: Screener, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert count_preparations(tiny_screener, monkeypatch) == 1


def test_models_that_want_it_otherwise_get_their_own(
    tmp_path: Path,
    tiny_weights: Path,
    manifest_json: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = shutil.copytree(tiny_weights, tmp_path / "weights")
    manifest_json["models"]["student"]["preprocessing"]["mean"] = [0.0, 0.5, 0.0]
    (folder / "manifest.json").write_text(json.dumps(manifest_json))
    screener = Screener(folder)
    assert count_preparations(screener, monkeypatch) == 2
    # Green 0 arrives at the student as -0.5: a logit of 8 instead of 4.
    probability = screener.screen(RED).student.melanoma_probability
    assert probability == pytest.approx(melanoma_probability(-0.5, 2), 1e-3)


def test_on_two_cores_the_answer_is_the_same(refusing_weights: Path) -> None:
    screener = Screener(refusing_weights, threads=1)
    for seed in range(4):
        rgb = np.asarray(draw_lesion("nv", seed=seed, size=(400, 300)))
        one, two = screener.screen(rgb, ["deep_grey"]), screener.screen(rgb, ["deep_grey"], True)
        assert two.findings == one.findings
        assert list(two.predictions) == list(one.predictions)
        for key, prediction in one.predictions.items():
            assert two.predictions[key].probabilities == prediction.probabilities
            assert two.predictions[key].distance == prediction.distance
            assert (two.predictions[key].evidence == prediction.evidence).all()


def test_threads_may_share_a_screener(tiny_screener: Screener) -> None:
    reds = list(range(0, 256, 15))
    images = [np.full((200, 200, 3), (red, 255 - red, 0), np.uint8) for red in reds]
    with ThreadPoolExecutor(8) as pool:
        screenings = list(pool.map(tiny_screener.screen, images))
    for red, screening in zip(reds, screenings, strict=True):
        teacher, student = melanoma_probability(red / 255), melanoma_probability(1 - red / 255, 2)
        assert screening.teacher.melanoma_probability == pytest.approx(teacher, 1e-3)
        assert screening.student.melanoma_probability == pytest.approx(student, 1e-3)


@pytest.mark.parametrize(
    ("width", "height", "codes"),
    [
        (600, 450, []),
        (512, 512, []),
        (160, 160, []),
        (3000, 4000, []),
        (600, 400, []),
        (159, 200, ["enlarged"]),
        (80, 60, ["enlarged"]),
        (1920, 1080, ["elongated"]),
        (300, 900, ["elongated"]),
        (1000, 50, ["enlarged", "elongated"]),
        (1, 1, ["enlarged", "no_lesion"]),
    ],
)
def test_findings(tiny_screener: Screener, width: int, height: int, codes: list[str]) -> None:
    rgb = np.asarray(draw_lesion("nv", size=(200, 150)).resize((width, height)))
    found = tiny_screener.screen(rgb).findings
    assert [finding.code for finding in found] == codes
    assert found == tuple(findings(look(rgb, tiny_screener.manifest), tiny_screener.manifest, {}))
    for finding in found:
        assert finding.severity in ("info", "warning")
        assert finding.code == "no_lesion" or f"{width} x {height}" in finding.text


def test_the_elongated_finding_says_how_much_was_judged(tiny_screener: Screener) -> None:
    rgb = np.asarray(draw_lesion("nv", size=(720, 300)))
    (finding,) = findings(look(rgb, tiny_screener.manifest), tiny_screener.manifest, {})
    assert "50 %" in finding.text


@pytest.mark.parametrize(
    ("file", "error"),
    [("manifest.json", ManifestError), ("teacher.onnx", WeightsError)],
)
def test_a_folder_with_something_missing(
    tmp_path: Path, tiny_weights: Path, file: str, error: type[Exception]
) -> None:
    folder = shutil.copytree(tiny_weights, tmp_path / "weights")
    (folder / file).unlink()
    with pytest.raises(error, match=file):
        Screener(folder)


def test_changed_weights_are_not_run(tmp_path: Path, tiny_weights: Path) -> None:
    folder = shutil.copytree(tiny_weights, tmp_path / "weights")
    shutil.copy(folder / "teacher.onnx", folder / "student.onnx")
    with pytest.raises(WeightsError, match=r"student\.onnx"):
        Screener(folder)
