"""What several methods may do beyond their papers; each is off by default.

A method's config nests these where it takes some of them, and names which (`takes`). Its card shows
what ships with additions beside the row as published.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from faceedit.losses.text import ClipLoss


@dataclass(frozen=True)
class Additions:
    """Additions that methods share.

    Attributes:
        sequential: Split a sentence of several wishes and fulfil them one after the other. Small
            networks learn single wishes better than combinations. Training never splits.
        tied_layers: Move all layers of w_plus by one offset. None: as the base needs it. A
            generator that was trained with one w for all its layers draws faces along it; an offset
            per layer leads to pictures that only CLIP takes for faces.
        clip_loss: What the CLIP term compares. "global" looks at the edited image alone, as most
            papers print it; "direction" compares the change of the image with the difference of the
            texts; "pae" asks for a change of one characteristic.
        pae_alpha: CLIP-PAE's augmenting power, where `clip_loss` is "pae".
        weight_outside: Weight of change outside of the regions that the sentence is about. It needs
            the base's segmenter; without one, a warning says so.
    """

    sequential: bool = False
    tied_layers: bool | None = None
    clip_loss: ClipLoss = "global"
    pae_alpha: float = 2.0
    weight_outside: float = 0.0

    def ties(self, generator: Any) -> bool:
        """Return whether all layers of w_plus move by one offset, with this generator."""
        return generator.config.tied_layers if self.tied_layers is None else self.tied_layers

    def require(self, takes: frozenset[str], name: str) -> None:
        """Refuse additions that a method does not take.

        Raises:
            ValueError: If one is set; the message names those that may be.
        """
        changed = [f.name for f in fields(self) if getattr(self, f.name) != f.default]
        if unknown := sorted(set(changed) - takes):
            raise ValueError(
                f"{name} does not take the additions {unknown}; it takes {sorted(takes)}"
            )
