"""From pixels to what a trunk is given; the same in training, evaluation and search."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

MEAN: Final = (0.485, 0.456, 0.406)
"""Mean of red, green and blue over ImageNet, of 1."""
DEVIATION: Final = (0.229, 0.224, 0.225)
"""Their standard deviations."""


def normalise(pixels: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """uint8 (b, 3, height, width) → centred and scaled floats of about unit variance."""
    shape = (1, 3, 1, 1)
    device = pixels.device
    scale = 1 / (255 * torch.tensor(DEVIATION, device=device).view(shape))
    shift = -torch.tensor(MEAN, device=device).view(shape) * 255 * scale
    return torch.addcmul(shift, pixels.to(torch.float32), scale).to(dtype)
