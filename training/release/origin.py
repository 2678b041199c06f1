"""Is this the run that a released file came from? One answer for all who need its network."""

from pathlib import Path

import numpy as np
import torch
from torch import nn

import mel_demo
from mel_demo.images import normalise, open_image, prepare
from mel_demo.manifest import ModelSpec, verify_weights
from training.errors import RunError
from training.learn.run_folder import RunRecord, load_run
from training.measure.scores import open_session

DRAWINGS = Path(mel_demo.__file__).parent / "ui" / "examples"
TOLERANCE = 5e-3  # of logits: half-precision weights, folded batch norms, another runtime


def released_run(
    run: Path, spec: ModelSpec, weights: Path, option: str
) -> tuple[nn.Module, RunRecord]:
    """Network and record of ``run``, whose logits for the page's drawings are the released file's.

    ``option``: of the command, to name another run with. Raises RunError for a run that is not the
    one, WeightsError for a file that is not the manifest's.
    """
    network, record = load_run(run)
    pixels = [
        prepare(open_image(path), spec.preprocessing) for path in sorted(DRAWINGS.glob("*.jpg"))
    ]
    images = normalise(np.stack(pixels), spec.preprocessing)
    session = open_session(verify_weights(spec, weights))
    served = np.concatenate([session.run(["logits"], {"image": one[None]})[0] for one in images])
    with torch.inference_mode():
        own = network(torch.from_numpy(images)).numpy()
    difference = float(np.abs(own - served).max()) if own.shape == served.shape else np.inf
    if not difference <= TOLERANCE:
        raise RunError(
            f"{run} is not the run that {spec.file} was exported from: their logits differ by "
            f"{difference:.3g}. Name the right run with {option}."
        )
    return network, record
