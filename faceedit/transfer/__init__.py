"""Carry an edit from a pair of drawn faces, before and after, on to the photograph.

The generator's pixels are not pasted: what differs within the pair moves, shades and colours the
photograph's own pixels, and only what the photograph lacks is drawn into it. Nothing here knows a
method or a network; regions and landmarks are handed in.
"""

from faceedit.transfer.asked import Asked
from faceedit.transfer.carry import Carried, Readers, Scene, carry, read_scene
from faceedit.transfer.frame import Frame, frame_around
from faceedit.transfer.layers import Layers
from faceedit.transfer.view import View

__all__ = [
    "Asked",
    "Carried",
    "Frame",
    "Layers",
    "Readers",
    "Scene",
    "View",
    "carry",
    "frame_around",
    "read_scene",
]
