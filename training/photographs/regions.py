"""What a face mesh, a person mask and labels say of the regions of a photograph: partial labels.

For every pixel they say which regions it may belong to, as the bits of a number. Where nothing is
known, all bits are set. Renders say it exactly: one bit.
"""

from __future__ import annotations

import cv2
import numpy as np

from faceedit.world import REGIONS
from training.photographs.portraits import LabelledPhoto

__all__ = [
    "ALL",
    "BIT",
    "OUTLINES",
    "PARSED",
    "bits_of",
    "exact",
    "grown",
    "outline",
    "possible_regions",
    "shrunk",
]

# What the parser tells apart: the world's regions, and what people have on or before their heads.
PARSED = (*REGIONS, "covering", "occluder")
BIT = {name: 1 << i for i, name in enumerate(PARSED)}
ALL = (1 << len(PARSED)) - 1
SURE, NEVER = 200, 40  # of a person mask of 0..255

# Closed lines of MediaPipe's face mesh.
OUTLINES: dict[str, tuple[tuple[int, ...], ...]] = {
    "lips": (
        (
            *(61, 146, 91, 181, 84, 17, 314, 405, 321, 375),
            *(291, 409, 270, 269, 267, 0, 37, 39, 40, 185),
        ),
    ),
    "mouth": (
        (
            *(78, 95, 88, 178, 87, 14, 317, 402, 318, 324),
            *(308, 415, 310, 311, 312, 13, 82, 81, 80, 191),
        ),
    ),
    "eyes": (
        (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246),
        (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466),
    ),
    "brows": (
        (276, 283, 282, 295, 285, 336, 296, 334, 293, 300),
        (46, 53, 52, 65, 55, 107, 66, 105, 63, 70),
    ),
    "nose": ((6, 198, 98, 2, 327, 420),),
    "face": (
        (
            *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400),
            *(377, 152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67),
            109,
        ),
    ),
}


def outline(mesh: np.ndarray, name: str, side: int) -> np.ndarray:
    """Return where the mesh draws a part of the face, [side, side] bool."""
    filled = np.zeros((side, side), np.uint8)
    for ring in OUTLINES[name]:
        corners = (mesh[list(ring)] - 0.5) * 16  # OpenCV counts from the middle of the first pixel
        cv2.fillPoly(filled, [np.round(corners).astype(np.int32)], 1, shift=4)
    return filled > 0


def bits_of(*names: str) -> int:
    """Return the number whose bits are these regions."""
    return sum(BIT[name] for name in names)


def exact(labels: np.ndarray) -> np.ndarray:
    """Return a label map as bits, one a pixel."""
    return np.left_shift(np.uint32(1), labels.astype(np.uint32))


class _Bits:
    """A map of possible regions that is narrowed down step by step, never to nothing."""

    def __init__(self, side: int) -> None:
        self.map = np.full((side, side), ALL, np.uint32)

    def only(self, where: np.ndarray, *names: str) -> None:
        """Keep only these regions there."""
        self._keep(where, bits_of(*names))

    def never(self, where: np.ndarray, *names: str) -> None:
        """Rule these regions out there."""
        self._keep(where, ALL & ~bits_of(*names))

    def _keep(self, where: np.ndarray, bits: int) -> None:
        kept = self.map[where] & np.uint32(bits)
        self.map[where] = np.where(kept == 0, self.map[where], kept)


def possible_regions(photo: LabelledPhoto) -> np.ndarray:
    """Return for every pixel of a photograph what it may show, [side, side] uint32 bits."""
    side, unit, labels = len(photo.image), photo.pupils, photo.labels
    part = {name: outline(photo.mesh, name, side) for name in OUTLINES}
    everywhere = np.ones((side, side), bool)
    bits = _Bits(side)
    _rule_out_unseen(bits, labels, everywhere)
    person = (photo.person > SURE) & photo.inside
    bits.only((photo.person < NEVER) & photo.inside, "background")
    bits.never(person, "background")
    _face(bits, photo, part, unit)
    _around(bits, photo, part, unit)
    _hair(bits, photo, unit)
    if photo.beard is not None:
        there, bare = photo.beard
        bits.only(there, "beard")
        bits.never(bare, "beard")
    return bits.map


def _rule_out_unseen(bits: _Bits, labels: dict[str, object], everywhere: np.ndarray) -> None:
    """What the person who looked did not see anywhere."""
    never = [] if "hand in hair" in str(labels.get("notes", "")) else ["occluder"]
    if labels["beard"] == "none" and not labels.get("moustache"):
        never.append("beard")
    if labels["glasses"] == "none":
        never += ["glasses", "lens"]
    never += {"none": ["hat", "covering"], "headscarf": ["hat"]}.get(
        str(labels["headwear"]), ["covering"]
    )
    if labels["hair_color"] == "covered" or labels.get("hair_length") == "bald":
        never.append("hair")
    if labels.get("earrings") is False:
        never.append("earring")
    if not labels["mouth_open"]:
        never.append("mouth")
    bits.never(everywhere, *never)


def _face(bits: _Bits, photo: LabelledPhoto, part: dict[str, np.ndarray], unit: float) -> None:
    """Inside of the face's outline."""
    labels = photo.labels
    lips, eyes, brows = part["lips"], part["eyes"], part["brows"]
    features = lips | eyes | brows
    fringe = ("hair", "brows") if labels.get("fringe") else ()
    top = "hat" if labels["headwear"] in ("hat", "cap") else "covering"
    core = shrunk(part["face"], 0.06 * unit)
    above = core & (_rows(photo) < photo.mesh[[105, 334], 1].mean() - 0.15 * unit)
    bits.only(core & ~above & ~features, "skin", "nose", "beard", "glasses", "lens", *fringe)
    bits.only(above & ~features, "skin", "hair", "glasses", top)
    nose = shrunk(part["nose"], 0.04 * unit)
    bits.only(nose, "nose", "glasses")
    bits.never(~grown(part["nose"], 0.28 * unit), "nose")
    bits.only(lips, "lips", "mouth")
    bits.only(lips & ~part["mouth"], "lips")
    bits.only(shrunk(part["mouth"], 0.03 * unit), "mouth", "lips")
    bits.only(eyes & ~lips, "eyes", "lens")
    bits.only(brows & ~eyes, "brows", "glasses", *fringe)
    edge = 0.03 * unit
    bits.never(~grown(lips, edge), "lips", "mouth")
    bits.never(~grown(eyes, edge), "eyes")
    bits.never(~grown(brows, 1.3 * edge), "brows")


def _around(bits: _Bits, photo: LabelledPhoto, part: dict[str, np.ndarray], unit: float) -> None:
    """The person outside of the face's outline."""
    rows, mesh, labels = _rows(photo), photo.mesh, photo.labels
    face = part["face"]
    outside = ~grown(face, 0.05 * unit)
    mouth, brow = mesh[[61, 291], 1].mean(), mesh[[105, 334], 1].mean()
    bits.never(outside, "nose", "lips", "mouth", "eyes", "brows", "lens")
    bits.never(~grown(face, 0.05 * unit) & (rows > mouth), "skin")
    bald = labels.get("hairline") in ("receding", "bald_top") or labels["hair_color"] == "covered"
    if not bald:
        bits.never(~grown(face, 0.35 * unit), "skin")
    bits.never(rows < mesh[[1, 2], 1].mean(), "cloth", "neck")
    bits.never((rows < brow) | (rows > mouth + 0.3 * unit) | ~outside, "ear")
    bits.never((rows < brow) | ~outside, "earring")
    bits.never(grown(face, 0.5 * unit) == 0, "beard", "glasses")
    bits.never(shrunk(face, 0.06 * unit), "neck", "cloth", "ear", "background")
    if labels["headwear"] == "headscarf" and labels["hair_color"] == "covered":
        person = (photo.person > SURE) & photo.inside & outside
        bits.only(person & (rows < mouth), "covering")
        bits.only(person & (rows < mesh[152, 1]), "covering", "neck", "beard")


def _hair(bits: _Bits, photo: LabelledPhoto, unit: float) -> None:
    """How far down hair reaches."""
    if photo.hair is not None:
        bits.only(shrunk(photo.hair, 0.04 * unit), "hair")
        bits.never((photo.person > SURE) & ~grown(photo.hair, 0.06 * unit), "hair")
    elif photo.labels.get("hair_length") in ("short", "very short"):
        bits.never(_rows(photo) > photo.mesh[152, 1] + 0.3 * unit, "hair")


def _rows(photo: LabelledPhoto) -> np.ndarray:
    side = len(photo.image)
    return np.broadcast_to(np.arange(side)[:, None] + 0.5, (side, side))


def _kernel(radius: float) -> np.ndarray:
    size = 2 * max(1, round(radius)) + 1
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))


def grown(mask: np.ndarray, radius: float) -> np.ndarray:
    """Return a mask with what lies within a radius of it, px."""
    return cv2.dilate(mask.astype(np.uint8), _kernel(radius)) > 0


def shrunk(mask: np.ndarray, radius: float) -> np.ndarray:
    """Return a mask without what lies within a radius of its edge, px."""
    return cv2.erode(mask.astype(np.uint8), _kernel(radius)) > 0
