"""The lesion masks as an auxiliary: evidence for melanoma should lie on the lesion.

Added to the loss is the share of the melanoma map, as it is served (``cam.WithEvidence``), that
lies beside the lesion. The map has a closed form, so that the share can be differentiated like any
other part of the network; nothing is added to the network, and nothing need be dropped at export.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, relu

from mel_demo.manifest import MELANOMA
from training.learn.cam import head_of


class Beside:
    """The share of ``network``'s last melanoma maps that lies beside the lesions.

    Keeps the last feature map of each forward pass. Raises ExportError for an architecture whose
    evidence maps have no closed form.
    """

    def __init__(self, network: nn.Module) -> None:
        self.head = head_of(network)
        self.features: Tensor | None = None
        self.head.target_layer().register_forward_hook(self._keep)

    def _keep(self, _module: nn.Module, _given: tuple, features: Tensor) -> None:
        self.features = features

    def __call__(self, lesions: Tensor) -> Tensor:
        """Scalar in 0..1: mean over the views of the last forward pass that have a mask.

        ``lesions`` (N, 1, s, s): 1 on the lesion, 0 beside it, below 0 where nobody knows.
        """
        if self.features is None:
            raise RuntimeError("the network has not seen these views")
        features = self.features.float()
        _, gradient = self.head(features.mean((2, 3)))
        maps = relu(torch.einsum("nc,nchw->nhw", relu(gradient[:, MELANOMA]), features))
        inside = adaptive_avg_pool2d(lesions, (maps.shape[-2], maps.shape[-1]))[:, 0]
        known = (lesions.flatten(1).amin(1) >= 0) & (lesions.flatten(1).amax(1) > 0.5)
        share = (maps * (1 - inside)).sum((1, 2)) / maps.sum((1, 2)).clamp(min=1e-6)
        return (share * known).sum() / known.sum().clamp(min=1)
