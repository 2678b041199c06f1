"""One INT8 candidate: the float graph of a released file, calibrated and quantised.

What is quantised is the trunk, up to the last feature map; the head and the evidence map compute in
single precision, with weights that are only stored in eight bits. Knows ONNX and its runtime's
quantiser; it does not know which candidate is a good one (``sweep``) nor what passes (``gate``).
"""

import contextlib
import copy
import io
import logging
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QDQQuantizer,
    QuantType,
    TensorsData,
    create_calibrator,
)

from training.errors import ExportError
from training.release.onnx_file import OUTPUTS, strip

# Parts of a trunk that may be kept in float (found by ``int8.parts_of``).
REGIONS = ("squeeze-excite", "stem", "depthwise", "hard-swish", "first half", "three quarters")


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
# Of the convolutions: their few channels carry the widest ranges, and hardly any of the weights.
_EARLY = (*_FEW, "first half")
_MOST = (*_FEW, "three quarters")


def grid() -> tuple[Candidate, ...]:
    """Every calibration with four settings, then one departure at a time."""
    settings = ((True, _FEW), (True, _MORE), (False, _MORE), (True, _EARLY))
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
        Candidate(_MINMAX, keep_float=_FEW, reduce_range=False),
    )
    late = (
        Candidate(Calibration("percentile", share), keep_float=_MOST) for share in (99.999, 99.99)
    )
    return (*crossed, *late, *departures)


_POOLINGS = ("ReduceMean", "GlobalAveragePool")
_CALIBRATED = ("Conv", "Add", "Mul")
_LEAST_STORED = 1024  # values; below that a scale and two nodes cost as much as they save
_CHUNK = 10  # images: a calibrator holds every inner value of them, some 20 MB an image
_ENTROPY_BINS = 512  # its search is a Python loop over them; ONNX Runtime's 128 leave no choice


def float_graph(path: Path) -> onnx.ModelProto:
    """The graph of a released file with single-precision weights (see ``graph.export_onnx``).

    Without the output ``distance``, if there is one: it was measured of the source alone. Weights
    stored in half precision are cast here, so that the quantiser finds them.
    """
    model = onnx.load(path)
    if len(model.graph.output) > len(OUTPUTS):
        model = onnx.utils.Extractor(model).extract_model(["image"], list(OUTPUTS))
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in list(model.graph.node):
        if node.op_type != "Cast" or node.input[0] not in tensors:
            continue
        target = next(item.i for item in node.attribute if item.name == "to")
        if target == onnx.TensorProto.FLOAT:
            tensor = tensors[node.input[0]]
            values = numpy_helper.to_array(tensor).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(values, node.output[0]))
            model.graph.node.remove(node)
    return model


@dataclass(frozen=True)
class Parts:
    """Names of nodes: the ``trunk`` and, of it, the ``regions`` that a candidate may keep in float.

    ``features``: name of the last feature map, which is what the trunk makes.
    """

    features: str
    trunk: frozenset[str]
    regions: dict[str, frozenset[str]]


def parts_of(model: onnx.ModelProto) -> Parts:
    """Find the trunk, and its regions by the names of REGIONS.

    Raises ExportError where nothing is pooled: there is no last feature map then.
    """
    nodes = list(model.graph.node)
    pools = [index for index, node in enumerate(nodes) if node.op_type in _POOLINGS]
    if not pools:
        raise ExportError(
            f"The graph has none of the nodes {', '.join(_POOLINGS)}, so its last feature map "
            "cannot be found. Quantise a file written by `python -m training export`."
        )
    maker = {output: node for node in nodes for output in node.output}
    trunk: dict[str, onnx.NodeProto] = {}
    features = nodes[pools[-1]].input[0]
    todo = [features]
    while todo:
        node = maker.get(todo.pop())
        if node is not None and node.name not in trunk:
            trunk[node.name] = node
            todo.extend(node.input)
    gates: set[str] = set()
    for index in pools[:-1]:
        reached = set(nodes[index].output)
        for node in nodes[index + 1 :]:
            # The gate ends where it meets the map that it was pooled from.
            if node.op_type != "Mul" and reached.intersection(node.input):
                gates.add(node.name)
                reached.update(node.output)
    convolutions = [
        node
        for node in nodes
        if node.op_type == "Conv" and node.name in trunk and node.name not in gates
    ]
    swished = {node.input[0] for node in nodes if node.op_type == "HardSwish"}
    regions = {
        "squeeze-excite": gates,
        "stem": {node.name for node in convolutions[:1]},
        "depthwise": {node.name for node in convolutions if _groups(node) > 1},
        "hard-swish": {node.name for node in convolutions if node.output[0] in swished},
        "first half": {node.name for node in convolutions[: len(convolutions) // 2]},
        "three quarters": {node.name for node in convolutions[: len(convolutions) * 3 // 4]},
    }
    return Parts(features, frozenset(trunk), {name: frozenset(regions[name]) for name in REGIONS})


def _groups(node: onnx.NodeProto) -> int:
    return next((item.i for item in node.attribute if item.name == "group"), 1)


def _trunk_of(model: onnx.ModelProto) -> onnx.ModelProto:
    """The trunk alone: in the head minus infinity masks a class, which is no range to calibrate."""
    parts, trunk = parts_of(model), onnx.ModelProto.FromString(model.SerializeToString())
    nodes = [node for node in trunk.graph.node if node.name in parts.trunk]
    used = {name for node in nodes for name in node.input}
    tensors = [tensor for tensor in trunk.graph.initializer if tensor.name in used]
    del trunk.graph.node[:], trunk.graph.initializer[:], trunk.graph.output[:]
    trunk.graph.node.extend(nodes)
    trunk.graph.initializer.extend(tensors)
    trunk.graph.output.append(
        helper.make_tensor_value_info(parts.features, onnx.TensorProto.FLOAT, None)
    )
    return trunk


def calibrate(model: onnx.ModelProto, calibration: Calibration, images: np.ndarray) -> TensorsData:
    """The ranges of ``model``'s inner values on ``images``, float32 (N, 3, S, S), normalised."""
    methods = {
        "minmax": (CalibrationMethod.MinMax, {}),
        # Not symmetric: most ranges here begin at 0, and half of a symmetric one would be unused.
        "percentile": (
            CalibrationMethod.Percentile,
            {"symmetric": False, "percentile": calibration.percentile},
        ),
        "entropy": (CalibrationMethod.Entropy, {"num_bins": _ENTROPY_BINS}),
    }
    method, options = methods[calibration.method]
    with tempfile.TemporaryDirectory() as name, _quiet():
        source = Path(name) / "trunk.onnx"
        onnx.save(_trunk_of(model), source)
        calibrator = create_calibrator(
            source,
            list(_CALIBRATED),
            str(Path(name) / "augmented.onnx"),
            method,
            extra_options=options,
        )
        for start in range(0, len(images), _CHUNK):
            calibrator.collect_data(_Images(images[start : start + _CHUNK]))
        return calibrator.compute_data()


def quantise(
    model: onnx.ModelProto,
    candidate: Candidate,
    ranges: TensorsData,
    path: Path,
    metadata: dict[str, str],
) -> None:
    """Write ``model``, quantised with ``ranges`` (of ``calibrate``), to ``path``.

    ``metadata``: stored in the file. Inputs and outputs keep their names and shapes.
    """
    parts = parts_of(model)
    kept = frozenset().union(*(parts.regions[name] for name in candidate.keep_float))
    types = ["Conv", "Relu", *(("Add", "Mul") if candidate.elementwise else ())]
    names = [
        node.name
        for node in model.graph.node
        if node.name in parts.trunk - kept and node.op_type in types
    ]
    # What quantize_static does, with ranges found once instead of for every candidate. Copies,
    # since the quantiser changes both the graph and the ranges that it is given.
    quantiser = QDQQuantizer(
        onnx.shape_inference.infer_shapes(model),
        per_channel=candidate.per_channel,
        reduce_range=candidate.reduce_range,
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QUInt8 if candidate.activations == "U8" else QuantType.QInt8,
        tensors_range=copy.deepcopy(ranges),
        nodes_to_quantize=names,
        nodes_to_exclude=[],
        op_types_to_quantize=types,
        extra_options={},
    )
    with _quiet():
        quantiser.quantize_model()
    quantiser.model.topological_sort()
    written = quantiser.model.model
    _store_bytes(written.graph)
    strip(written.graph)
    helper.set_model_props(written, metadata)
    onnx.checker.check_model(written)
    onnx.save(written, path)


def _store_bytes(graph: onnx.GraphProto) -> None:
    """Store in eight bits, a scale for each output channel, what the quantiser left in float.

    Cast and Mul give the values back at their old name, and ONNX Runtime does both once, when it
    loads the file; a DequantizeLinear it would run for every image.
    """
    nodes = []
    for tensor in list(graph.initializer):
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.ndim < 2 or values.size < _LEAST_STORED:
            continue
        name = tensor.name
        most = np.abs(values).max(axis=tuple(range(1, values.ndim)), keepdims=True)
        scale = np.where(most > 0, most / 127, 1).astype(np.float32)
        bytes_ = np.round(values / scale).astype(np.int8)
        tensor.CopyFrom(numpy_helper.from_array(bytes_, f"{name}.int8"))
        graph.initializer.append(numpy_helper.from_array(scale, f"{name}.scale"))
        nodes += [
            helper.make_node("Cast", [f"{name}.int8"], [f"{name}.cast"], to=onnx.TensorProto.FLOAT),
            helper.make_node("Mul", [f"{name}.cast", f"{name}.scale"], [name]),
        ]
    nodes.extend(graph.node)
    del graph.node[:]
    graph.node.extend(nodes)


class _Images(CalibrationDataReader):
    """Images one at a time: a free batch axis would let the quantiser keep several sizes."""

    def __init__(self, images: np.ndarray):
        self._rows = iter(images)

    def get_next(self) -> dict[str, np.ndarray] | None:
        row = next(self._rows, None)
        return None if row is None else {"image": row[None]}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The quantiser prints and logs its progress; ours is the sweep's."""
    level = logging.root.level
    logging.root.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.root.setLevel(level)
