"""The settings that CLIP-PAE's targets are compared in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["TARGETS"]

# What CLIP-PAE is compared with, everything else equal; and nearer to the paper: in the generator
# from the photo, because the fitted start takes both targets most of the way; in diffusion with
# nothing held by a segmenter, which does for any target a part of what PAE is for.
FROM_PHOTO = {"init": "source", "learning_rate": 0.2, "strength_scale": 1.0}
UNHELD = {"additions": {"weight_outside": 0.0}}
TARGETS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "clip_pae": {
        "pae": {"target": "pae"},
        "text": {"target": "text"},
        "pae_from_photo": {"target": "pae", **FROM_PHOTO},
        "text_from_photo": {"target": "text", **FROM_PHOTO},
    },
    "clip_pae_diffusion": {
        "pae": {"target": "pae"},
        "text": {"target": "text"},
        "directional": {"target": "directional"},
        "pae_unheld": {"target": "pae", **UNHELD},
        "text_unheld": {"target": "text", **UNHELD},
    },
}
