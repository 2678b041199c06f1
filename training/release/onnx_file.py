"""A trained network as one ONNX file, released only after it was compared with its source.

Input ``image`` float32 (N, 3, S, S), outputs ``logits`` (N, 7), ``cam`` (N, 7, h, w) and,
if wanted, ``distance`` (N,) of ``training.learn.cam.WithEvidence``; any N. Knows nothing of
manifests, metrics or runs.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import nn

from mel_demo.manifest import CLASS_NAMES
from training.errors import ExportError
from training.learn import cam
from training.measure.maps import normalised, reference_maps
from training.measure.scores import open_session

OPSET = 18
LOGITS_TOLERANCE = 1e-4
CAM_TOLERANCE = 1e-3
DISTANCE_TOLERANCE = 1e-3
CHECKED_CLASSES = ("mel", "nv")
CHECKED_BATCHES = (1, 5)
OUTPUTS = ("logits", "cam")
DISTANCE = "distance"


@dataclass(frozen=True)
class Differences:
    """Largest absolute differences between a file and its source, over all images and batches.

    ``cam`` is of maps scaled to [0, 1] by pytorch-grad-cam's normalisation. ``distance`` is 0 of a
    file without that output.
    """

    logits: float
    cam: float
    distance: float = 0.0


def export_onnx(
    network: nn.Module,
    images: np.ndarray,
    path: Path,
    metadata: dict[str, str],
    distance: nn.Module | None = None,
) -> Differences:
    """Write ``network`` to ``path`` and return how far the file is from it.

    ``images``: float32 (N, 3, S, S), at least 5 real ones, normalised. ``metadata``: stored in the
    file. ``distance``: a module for the output of that name (see ``training.release.distance``).
    Raises ExportError, leaving what stood at ``path`` as it was, when the architecture has no
    closed-form evidence map, or when the file's logits, maps or distances are not those of torch
    and pytorch-grad-cam.
    """
    if len(images) < max(CHECKED_BATCHES):
        raise ExportError(
            f"{len(images)} images are too few to check an export: it is compared at the batch "
            f"sizes {CHECKED_BATCHES}."
        )
    network = network.eval()
    evidence = cam.WithEvidence(network, distance).eval()
    temporary = path.with_name(path.name + ".tmp")
    try:
        _write(evidence, images.shape[-1], temporary, metadata)
        differences = compare(temporary, evidence, images)
        if not differences.logits < LOGITS_TOLERANCE:
            raise ExportError(
                f"The logits of {path.name} differ from torch's by {differences.logits:.2e}, the "
                f"tolerance is {LOGITS_TOLERANCE:.0e}: the file was not kept."
            )
        if not differences.cam < CAM_TOLERANCE:
            raise ExportError(
                f"The evidence maps of {path.name} differ from pytorch-grad-cam's by "
                f"{differences.cam:.2e}, the tolerance is {CAM_TOLERANCE:.0e}: the file was not "
                "kept."
            )
        if not differences.distance < DISTANCE_TOLERANCE:
            raise ExportError(
                f"The distances of {path.name} differ from torch's by {differences.distance:.2e}, "
                f"the tolerance is {DISTANCE_TOLERANCE:.0e}: the file was not kept."
            )
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return differences


def compare(path: Path, evidence: cam.WithEvidence, images: np.ndarray) -> Differences:
    """Run the file at every size of CHECKED_BATCHES; torch and pytorch-grad-cam are the truth."""
    tensor = torch.from_numpy(images)
    network, layer = evidence.network, evidence.head.target_layer()
    distances = None
    with torch.no_grad():
        logits = network(tensor).numpy()
        if evidence.distance is not None:
            distances = evidence.distance(cam.inner_means(network, tensor)).numpy()
    maps = {
        name: reference_maps(network, layer, tensor, CLASS_NAMES.index(name))
        for name in CHECKED_CLASSES
    }
    session = open_session(path)
    outputs = outputs_of(evidence)
    worst_logits = worst_cam = worst_distance = 0.0
    for size in CHECKED_BATCHES:
        for start in range(0, len(images), size):
            rows = slice(start, start + size)
            found = session.run(outputs, {"image": images[rows]})
            worst_logits = max(worst_logits, float(np.abs(found[0] - logits[rows]).max()))
            for name, wanted in maps.items():
                raw = found[1][:, CLASS_NAMES.index(name)]
                own = normalised(raw, images.shape[-1])
                worst_cam = max(worst_cam, float(np.abs(own - wanted[rows]).max()))
            if distances is not None:
                off = np.abs(found[2] - distances[rows]).max()
                worst_distance = max(worst_distance, float(off))
    return Differences(worst_logits, worst_cam, worst_distance)


def outputs_of(evidence: cam.WithEvidence) -> list[str]:
    """Names of the outputs of its file."""
    return [*OUTPUTS, *([] if evidence.distance is None else [DISTANCE])]


def _write(evidence: cam.WithEvidence, side: int, path: Path, metadata: dict[str, str]) -> None:
    try:
        program = torch.onnx.export(
            evidence,
            (torch.zeros(2, 3, side, side),),
            dynamo=True,
            input_names=["image"],
            output_names=outputs_of(evidence),
            dynamic_shapes={"image": {0: torch.export.Dim("batch")}},
            opset_version=OPSET,
            verbose=False,
        )
    except torch.onnx.OnnxExporterError as error:
        raise ExportError(f"torch could not export the network to ONNX: {error}") from error
    assert program is not None, "the dynamo exporter returns a program"
    model = program.model_proto
    strip(model.graph)
    onnx.helper.set_model_props(model, metadata)
    _store_halves(model.graph)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def strip(graph: onnx.GraphProto) -> None:
    """Leave out what only a debugger reads, 3 % of the file: the weights are all it should weigh.

    That is stack traces with paths of this machine, shapes of inner values, and their long names.
    """
    del graph.metadata_props[:]
    del graph.value_info[:]
    outside = {value.name for value in (*graph.input, *graph.output)}
    short = {name: name for name in (*outside, "")}  # "" is an input left out

    def shortened(name: str) -> str:
        return short.setdefault(name, f"v{len(short)}")

    for tensor in graph.initializer:
        tensor.name = shortened(tensor.name)
    for index, node in enumerate(graph.node):
        del node.metadata_props[:]
        node.name, node.doc_string = f"n{index}", ""
        node.input[:] = [shortened(name) for name in node.input]
        node.output[:] = [shortened(name) for name in node.output]


def _store_halves(graph: onnx.GraphProto) -> None:
    """Store in half precision what half precision holds to the last bit; halves the file.

    Each such tensor is cast back at its old name. ONNX Runtime does that once, when it loads the
    file, and computes in single precision as before.
    """
    casts = []
    for tensor in graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT or len(tensor.dims) < 2:
            continue
        values = onnx.numpy_helper.to_array(tensor)
        halves = values.astype(np.float16)
        if not np.array_equal(halves.astype(np.float32), values):
            continue
        name = tensor.name
        tensor.CopyFrom(onnx.numpy_helper.from_array(halves, f"{name}.half"))
        casts.append(
            onnx.helper.make_node("Cast", [f"{name}.half"], [name], to=onnx.TensorProto.FLOAT)
        )
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
