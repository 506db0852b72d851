"""Networks: trunks that turn images into vectors, and the heads on top of them; pure torch.

`build` makes a trunk by its name. Nothing here knows of repositories, commits or files of images.
"""

from __future__ import annotations

from voyager.models.trunk import Trunk, build, trunk_names

__all__ = ["Trunk", "build", "trunk_names"]
