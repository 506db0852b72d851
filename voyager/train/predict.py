"""What a network says of all rows of a view."""

from __future__ import annotations

import numpy as np
import torch

from voyager.models.network import Network
from voyager.repo.repository import Progress, no_progress
from voyager.train.loader import Loader
from voyager.train.said import Said, probabilities

__all__ = ["Said", "predict", "probabilities"]


@torch.no_grad()
def predict(
    network: Network,
    loader: Loader,
    device: torch.device,
    *,
    vectors: bool = False,
    progress: Progress = no_progress,
) -> Said:
    """Ask a network about every row of an evaluating loader's view."""
    network.eval()
    count = len(loader.view)
    logits = {
        task: np.zeros((count, output.classes), np.float32)
        for task, output in network.outputs.items()
    }
    valid = np.zeros(count, np.bool_)
    unit = np.zeros((count, network.embedding_dims), np.float32) if vectors else None
    for batch in loader.epoch(0):
        pixels = torch.from_numpy(batch.images).to(device).permute(0, 3, 1, 2)
        of_trunk = network.vectors(pixels)
        for task, found in network.answers(of_trunk).items():
            logits[task][batch.rows] = found.cpu().numpy()
        if unit is not None:
            unit[batch.rows] = network.unit(of_trunk).float().cpu().numpy()
        valid[batch.rows] = batch.valid
        progress(int(batch.rows[-1]) + 1, count)
    return Said(logits, valid, unit)
