"""A weights folder small enough to work by hand: two linear models and their manifest.

Both see the mean colour of the image in 0..1 and answer with a melanoma logit, the other six are 0:
the teacher with 8 * (0.5 - mean red), the student with 8 * (0.5 - mean green). So for a uniform
image p = e^(z/T) / (e^(z/T) + 6): mid-grey gives 1/7, black nearly 0.9, white nearly 0. Evidence of
melanoma is relu(0.5 - red) (or green) of each fifth of the image. The student's temperature is 2.
A red image is nothing for the teacher and a melanoma for the student.

Where it is wanted, the student also says a distance, 4 * mean blue, and images above 2 are refused:
half blue is the limit.

Operating table: 20 melanomas and 100 others in validation and in holdout, thresholds 0.80, 0.76
... 0.04. Target 0.80 chooses 0.20, 0.95 chooses 0.08, 0.995 chooses 0.04: mid-grey (teacher 0.143)
is referred at 0.95 and not at 0.80.
"""

import copy
import hashlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIZE = 160
CELLS = 5
CLASS_NAMES = ["akiec", "bcc", "bkl", "df", "mel", "nv", "vasc"]
MELANOMAS, OTHERS = 20, 100


def melanoma_probability(channel_mean: float, temperature: float = 1.0) -> float:
    """What the teacher (red) or the student (green, temperature 2) says; mean in 0..1."""
    odds = math.exp(8 * (0.5 - channel_mean) / temperature)
    return odds / (odds + 6)


def build_model(
    channel: int, outputs: tuple[str, str] = ("logits", "cam"), distance: bool = False
) -> onnx.ModelProto:
    """The linear model on one colour channel; ``outputs`` renames what a test wants broken."""
    logit_weight = np.zeros((3, 7), np.float32)
    logit_weight[channel, 4] = -8
    bias = np.zeros(7, np.float32)
    bias[4] = 4
    cam_weight = np.zeros((7, 3, 1, 1), np.float32)
    cam_weight[4, channel] = -1
    cell = SIZE // CELLS
    nodes = [
        helper.make_node("GlobalAveragePool", ["image"], ["mean4"]),
        helper.make_node("Flatten", ["mean4"], ["mean"]),
        helper.make_node("Gemm", ["mean", "logit_weight", "bias"], [outputs[0]]),
        helper.make_node(
            "AveragePool", ["image"], ["cells"], kernel_shape=[cell, cell], strides=[cell, cell]
        ),
        helper.make_node("Conv", ["cells", "cam_weight", "cam_bias"], ["map"]),
        helper.make_node("Relu", ["map"], [outputs[1]]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, SIZE, SIZE])],
        [
            helper.make_tensor_value_info(outputs[0], TensorProto.FLOAT, ["N", 7]),
            helper.make_tensor_value_info(outputs[1], TensorProto.FLOAT, ["N", 7, CELLS, CELLS]),
        ],
        [
            numpy_helper.from_array(logit_weight, "logit_weight"),
            numpy_helper.from_array(bias, "bias"),
            numpy_helper.from_array(cam_weight, "cam_weight"),
            numpy_helper.from_array((bias / 8).astype(np.float32), "cam_bias"),
        ],
    )
    if distance:
        blue = np.array([0, 0, 4], np.float32)
        graph.initializer.append(numpy_helper.from_array(blue, "blue"))
        graph.node.append(helper.make_node("MatMul", ["mean", "blue"], ["distance"]))
        graph.output.append(helper.make_tensor_value_info("distance", TensorProto.FLOAT, ["N"]))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def _interval(value: float | None) -> dict[str, float | None]:
    if value is None:
        return {"value": None, "low": None, "high": None}
    return {"value": value, "low": max(0, value - 0.04), "high": min(1, value + 0.04)}


def _row(index: int) -> dict[str, Any]:
    tp, fp = index + 1, 3 * index
    counts = {"tp": tp, "fp": fp, "fn": MELANOMAS - tp, "tn": OTHERS - fp}
    # Holdout lags one melanoma behind: at the highest threshold nothing is positive there.
    tp, fp = index, 2 * index
    fn, tn = MELANOMAS - tp, OTHERS - fp
    rates = {
        "sensitivity": tp / MELANOMAS,
        "specificity": tn / OTHERS,
        "ppv": tp / (tp + fp) if tp + fp else None,
        "npv": tn / (tn + fn),
    }
    holdout = {"tp": tp, "fp": fp, "fn": fn, "tn": tn}
    holdout |= {name: _interval(value) for name, value in rates.items()}
    return {"threshold": round(0.80 - 0.04 * index, 2), "validation": counts, "holdout": holdout}


def _spec(file: str, content: bytes, temperature: float) -> dict[str, Any]:
    names = (
        ("roc_auc", 0.85),
        ("average_precision", 0.5),
        ("ece", 0.05),
        ("brier", 0.08),
        ("sensitivity_at_95", 0.9),
        ("specificity_at_95", 0.64),
    )
    per_split = {"train": 480, "validation": MELANOMAS + OTHERS, "holdout": MELANOMAS + OTHERS}
    melanomas = {"train": 80, "validation": MELANOMAS, "holdout": MELANOMAS}
    return {
        "file": file,
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        "architecture": "linear",
        "parameters": 28,
        "recipe": "none",
        "source_commit": "0" * 40,
        "data": {
            "name": "Drawn lesions",
            "licence": "Apache-2.0",
            "doi": "10.0000/none",
            "splits_sha256": "0" * 64,
            "images": per_split,
            "melanomas": melanomas,
            "lesions": {"train": 400, "validation": 90, "holdout": 90},
        },
        "class_names": CLASS_NAMES,
        "temperature": temperature,
        "preprocessing": {
            "size": SIZE,
            "max_aspect_ratio": 1.2,
            "resample": "bilinear",
            "mean": [0.0, 0.0, 0.0],
            "std": [1.0, 1.0, 1.0],
        },
        "metrics": {
            split: {name: _interval(value) for name, value in names}
            for split in ("validation", "holdout")
        },
        "operating_table": {
            "rule": "largest threshold with at least the target sensitivity on validation",
            "lesions": {
                "validation": {"melanoma": 15, "other": 75},
                "holdout": {"melanoma": 15, "other": 75},
            },
            "rows": [_row(index) for index in range(MELANOMAS)],
        },
        "training": {"epochs": 0, "seed": 0, "hours": 0.0, "hardware": "none", "init": "by hand"},
        "latency": {"milliseconds": 0.1, "note": "a drawn model"},
    }


def ood_json() -> dict[str, Any]:
    """The student's entry ``ood``."""
    rate = {"value": 0.01, "low": 0.002, "high": 0.03}
    counts = {"refused": 2, "images": 200, "rate": rate}
    return {
        "method": "blue",
        "rule": "by hand",
        "threshold": 2.0,
        "reference": {"Drawn lesions": 480},
        "dermoscopy": {"validation": counts, "holdout": counts},
        "others": {"noise": {"refused": 20, "images": 20, "rate": _interval(1.0)}},
    }


def evidence_json(shift: float = 0.0) -> dict[str, Any]:
    """A model's entry ``evidence``; ``shift`` moves its probabilities up.

    The 15 melanoma lesions' lowest probabilities are 0.04, 0.08 ... 0.60, so that the uncertain
    band begins at 0 for the target 0.95 (k = floor(16 * 0.025) = 0) and at 0.04 for 0.80 (k = 1).
    """
    melanoma, other = [1, 3, 6, 8, 2], [60, 20, 12, 6, 2]
    group = {"images": 60, "lesions": 45, "melanomas": 10, "small": False}
    rates = {"roc_auc": 0.8, "sensitivity": 0.9, "specificity": 0.6}
    groups = [
        group | {"name": name} | {key: _interval(value + gain) for key, value in rates.items()}
        for name, gain in (("female", 0.05 + shift), ("male", 0.0))
    ]
    groups[1] |= {"small": True, "melanomas": 2}
    return {
        "distribution": {
            "edges": [0, 0.1, 0.2, 0.4, 0.8, 1],
            "melanoma": melanoma,
            "other": other,
        },
        "reliability": [
            {"low": 0.0, "high": 0.5, "images": 90, "predicted": 0.1, "observed": _interval(0.12)},
            {"low": 0.5, "high": 1.0, "images": 30, "predicted": 0.7, "observed": _interval(0.6)},
        ],
        "net_benefit": [
            {"threshold": t, "model": _interval(0.12 - t / 4), "refer_all": (20 - 100 * t) / 120}
            for t in (0.1, 0.2, 0.3)
        ],
        "subgroups": {"sex": groups},
        "conformal": {
            "melanoma": [round(0.04 * n + shift, 2) for n in range(1, 16)],
            "other_alpha": 0.1,
            "other_upper": 0.3 + shift,
            "other_lesions": 75,
        },
    }


def add_elsewhere(spec: dict[str, Any]) -> None:
    """Other clinics with the counts of holdout, and any skin cancer with those of melanoma."""
    table = spec["operating_table"]
    for row in table["rows"]:
        row["external"] = row["holdout"]
    table["lesions"]["external"] = table["lesions"]["holdout"]
    spec["metrics"]["external"] = spec["metrics"]["holdout"]
    spec["data"]["external"] = {
        "name": "Drawn elsewhere",
        "licence": "Apache-2.0",
        "sha256": "1" * 64,
        "images": MELANOMAS + OTHERS,
        "melanomas": MELANOMAS,
    }
    if "evidence" in spec:
        positive = [round(0.08 + 0.04 * index, 5) for index in range(MELANOMAS)]
        negative = [round(0.005 * index, 5) for index in range(OTHERS)]
        scores = {"positive": positive, "negative": negative}
        spec["evidence"]["scores"] = {"holdout": scores, "external": scores}
        group = spec["evidence"]["subgroups"]["sex"][0]
        spec["evidence"]["external_sources"] = [group | {"name": "Drawn elsewhere"}]
    measured = ("metrics", "operating_table", "evidence")
    spec["skin_cancer"] = copy.deepcopy({key: spec[key] for key in measured if key in spec})


def write_tiny_weights(
    folder: Path, refusing: bool = False, evidence: bool = False, elsewhere: bool = False
) -> Path:
    """Write manifest.json, teacher.onnx and student.onnx into ``folder``; returns it.

    ``refusing``: the student says a distance. ``evidence``: both models have that entry.
    ``elsewhere``: they were measured on other clinics' images and on any skin cancer, too.
    """
    folder.mkdir(parents=True, exist_ok=True)
    models = {}
    for key, channel, temperature in (("teacher", 0, 1.0), ("student", 1, 2.0)):
        distance = refusing and key == "student"
        content = build_model(channel, distance=distance).SerializeToString()
        (folder / f"{key}.onnx").write_bytes(content)
        models[key] = _spec(f"{key}.onnx", content, temperature)
        if distance:
            models[key]["ood"] = ood_json()
        if evidence:
            models[key]["evidence"] = evidence_json(0.05 if key == "student" else 0.0)
        if elsewhere:
            add_elsewhere(models[key])
    manifest = {
        "format": 1,
        "created": "2025-01-01T00:00:00+00:00",
        "agreement": {
            "holdout": {"same_decision_at_95": _interval(0.9), "spearman": _interval(0.8)}
        },
        "models": models,
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1), encoding="utf-8")
    return folder
