"""One model: probabilities worked by hand, files that break the agreement, threads."""

import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from mel_demo import inference
from mel_demo.errors import WeightsError
from mel_demo.inference import Model, Prediction, prepare, softmax
from mel_demo.manifest import CLASS_NAMES, ModelSpec, load_manifest
from tests.support.tiny_weights import build_model, melanoma_probability


def uniform(red: int, green: int, blue: int = 0, size: tuple[int, int] = (300, 400)) -> np.ndarray:
    return np.full((*size, 3), (red, green, blue), np.uint8)


@pytest.fixture(scope="module")
def specs(tiny_weights: Path) -> dict[str, ModelSpec]:
    return load_manifest(tiny_weights).models


@pytest.fixture(scope="module")
def teacher(tiny_weights: Path, specs: dict[str, ModelSpec]) -> Model:
    return Model(specs["teacher"], tiny_weights / "teacher.onnx", threads=1)


@pytest.fixture(scope="module")
def student(tiny_weights: Path, specs: dict[str, ModelSpec]) -> Model:
    return Model(specs["student"], tiny_weights / "student.onnx", threads=1)


@pytest.mark.parametrize("red", [0, 51, 128, 255])
@pytest.mark.parametrize("green", [0, 200])
def test_probabilities_as_by_hand(teacher: Model, student: Model, red: int, green: int) -> None:
    rgb = uniform(red, green)
    for model, channel, temperature in ((teacher, red, 1.0), (student, green, 2.0)):
        prediction = model.predict(rgb)
        expected = melanoma_probability(channel / 255, temperature)
        assert prediction.melanoma_probability == pytest.approx(expected, rel=1e-3)
        assert prediction.probabilities[CLASS_NAMES.index("mel")] == prediction.melanoma_probability
        assert sum(prediction.probabilities) == pytest.approx(1)
        assert len(prediction.probabilities) == 7
        assert prediction.model == model.spec.key
        assert prediction.milliseconds > 0


def test_evidence_lies_where_the_image_is_dark(teacher: Model) -> None:
    rgb = uniform(255, 255, size=(160, 160))
    rgb[32:64, 96:128] = 0
    evidence = teacher.predict(rgb).evidence
    assert evidence.shape == (7, 5, 5)
    assert evidence.dtype == np.float32
    expected = np.zeros((5, 5))
    expected[1, 3] = 0.5
    assert teacher.predict(rgb).melanoma_evidence == pytest.approx(expected, abs=1e-6)
    assert (evidence[[0, 1, 2, 3, 5, 6]] == 0).all()


@pytest.mark.parametrize(
    ("logits", "temperature", "expected"),
    [
        ([0, 0], 1, [0.5, 0.5]),
        ([np.log(3), 0], 1, [0.75, 0.25]),
        ([2 * np.log(3), 0], 2, [0.75, 0.25]),
        ([1e4, 0], 1, [1, 0]),  # no overflow
        ([-1e4, -1e4], 1, [0.5, 0.5]),
    ],
)
def test_softmax(logits: list[float], temperature: float, expected: list[float]) -> None:
    assert softmax(np.array(logits, np.float32), temperature) == pytest.approx(expected)


def test_threads_may_share_a_model(teacher: Model) -> None:
    reds = [value % 256 for value in range(0, 2000, 37)]
    with ThreadPoolExecutor(8) as pool:
        predictions = list(pool.map(lambda red: teacher.predict(uniform(red, 0)), reds))
    for red, prediction in zip(reds, predictions, strict=True):
        expected = melanoma_probability(red / 255)
        assert prediction.melanoma_probability == pytest.approx(expected, rel=1e-3)


def test_the_first_run_happens_at_load(
    tiny_weights: Path, specs: dict[str, ModelSpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[Prediction] = []
    original = Model.run
    monkeypatch.setattr(Model, "run", lambda *args: runs.append(original(*args)))
    Model(specs["teacher"], tiny_weights / "teacher.onnx")
    assert len(runs) == 1


@pytest.mark.parametrize(("threads", "expected"), [(1, 1), (3, 3), (None, inference.cores())])
def test_threads_are_settable(
    tiny_weights: Path, specs: dict[str, ModelSpec], threads: int | None, expected: int
) -> None:
    model = Model(specs["teacher"], tiny_weights / "teacher.onnx", threads=threads)
    options = model._session.get_session_options()
    assert options.intra_op_num_threads == expected
    assert options.inter_op_num_threads == 1


def test_an_image_prepared_otherwise_is_refused(teacher: Model) -> None:
    other = replace(teacher.spec.preprocessing, size=96)
    with pytest.raises(ValueError, match="not prepared for the teacher"):
        teacher.run(prepare(uniform(0, 0), other))


def rename(output: str, name: str) -> bytes:
    names = tuple(name if item == output else item for item in ("logits", "cam"))
    return build_model(0, outputs=names).SerializeToString()


def edited(edit: Callable[[onnx.ModelProto], None]) -> bytes:
    model = build_model(0)
    edit(model)
    return model.SerializeToString()


def six_classes(model: onnx.ModelProto) -> None:
    for index in (0, 1):
        array = numpy_helper.to_array(model.graph.initializer[index])[..., :6]
        name = model.graph.initializer[index].name
        model.graph.initializer[index].CopyFrom(numpy_helper.from_array(array.copy(), name))
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 6


def not_finite(model: onnx.ModelProto) -> None:
    bias = np.full(7, np.nan, np.float32)
    model.graph.initializer[1].CopyFrom(numpy_helper.from_array(bias, "bias"))


def other_input(size: int, kind: int = TensorProto.FLOAT) -> bytes:
    """A model of another input size or type; what it computes does not matter."""
    image = helper.make_tensor_value_info("image", kind, ["N", 3, size, size])
    graph = helper.make_graph(
        [
            helper.make_node("Identity", ["image"], ["logits"]),
            helper.make_node("Identity", ["image"], ["cam"]),
        ],
        "other",
        [image],
        [helper.make_tensor_value_info(name, kind, None) for name in ("logits", "cam")],
    )
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "cannot be loaded"),
        (b"", "cannot be loaded"),
        (b"not a model", "cannot be loaded"),
        (build_model(0).SerializeToString()[:300], "cannot be loaded"),
        (rename("cam", "evidence"), r"outputs \['evidence', 'logits'\], wanted input 'image'"),
        (rename("logits", "scores"), r"outputs \['cam', 'scores'\], wanted input 'image'"),
        (other_input(160), r"logits of shape \(1, 3, 160, 160\)"),
        (other_input(96), r"input of tensor\(float\) \['N', 3, 96, 96\], wanted"),
        (other_input(160, TensorProto.DOUBLE), r"input of tensor\(double\)"),
        (edited(six_classes), r"logits of shape \(1, 6\)"),
        (edited(not_finite), "not finite"),
    ],
)
def test_a_file_that_breaks_the_agreement(
    tmp_path: Path, specs: dict[str, ModelSpec], content: bytes | None, says: str
) -> None:
    path = tmp_path / "teacher.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(WeightsError, match=says) as caught:
        Model(specs["teacher"], path)
    assert str(path) in str(caught.value)
    assert "Fetch the weights again" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_runtime_leaves_no_trace_of_who_screens(tiny_weights: Path, tmp_path: Path) -> None:
    """In a bare environment: ONNX Runtime by itself keeps quiet on build machines."""
    code = "import sys; from mel_demo.screening import Screener; Screener(sys.argv[1], threads=1)"
    subprocess.run(
        [sys.executable, "-c", code, str(tiny_weights)],
        cwd=Path(__file__).resolve().parents[2],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        check=True,
        timeout=60,
    )
    assert not list(tmp_path.rglob("*"))
