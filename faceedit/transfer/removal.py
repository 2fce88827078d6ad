"""What the edit takes off: a beard, glasses, earrings; skin and eyes are continued below."""

from __future__ import annotations

import numpy as np

from faceedit.transfer.drawing import blur, smooth_step
from faceedit.transfer.fill import mirrored_fill
from faceedit.transfer.head import Head
from faceedit.transfer.layers import Layers
from faceedit.transfer.light import Light
from faceedit.transfer.points import curves_of, polygon
from faceedit.transfer.scalp import bare_shape, carried_skin, grown
from faceedit.transfer.view import View

PORES = 0.3  # of the photograph's grain, over the pores that skin is carried with
RIM = 6.0  # mm that a beard stands off the jaw
SEEN = 25.0  # mm^2: less of something is taken for an error of the parser
DARK_LENS = 0.5  # of the eye's surroundings are frame: nobody can know the eyes behind them


def shave(photo: View, head: Head, light: Light) -> Layers | None:
    """Return the photograph without its beard, None where it has none."""
    mm = head.scale
    beard = photo.region("beard")
    if (beard > 0.5).sum() < 4 * SEEN * mm * mm:
        return None
    gone = smooth_step(0.2, 0.6, blur(grown(beard, 2.0 * mm), 1.2 * mm))
    lips = grown(photo.region("lips", "mouth"), 0.7 * mm)
    gone = gone * (1 - smooth_step(0.3, 0.7, lips)) * photo.known
    _, normals, skull = bare_shape(photo, head)
    skin = carried_skin(photo, head, light, normals, gone, (-75, -20))
    within = gone * smooth_step(0.3, 0.7, blur(np.maximum(skull, _jaw(photo, mm)), 1.5 * mm))
    return Layers(cover=skin, alpha=within.astype(np.float32), grain=PORES * np.ones_like(within))


def _jaw(photo: View, mm: float) -> np.ndarray:
    """Return what the photograph's own outline holds, [h, w] in [0, 1]; 0 where it is unknown.

    Under a beard the outline is found inside of the beard's edge, and skin has to reach that.
    """
    curves = curves_of(photo)
    if curves is None:
        return np.zeros(photo.shape, np.float32)
    outline = curves["outline"]
    return grown(polygon(photo.shape, outline, np.stack([outline[0], outline[-1]])), RIM * mm)


def take_off_glasses(photo: View, head: Head) -> Layers | None:
    """Return the photograph without its glasses, None where it wears none.

    Rims are thin, so what is beside them goes on below; dark lenses hide eyes that nobody knows,
    which is said and not made up.
    """
    mm = head.scale
    frame = photo.region("glasses")
    if (frame > 0.5).sum() < SEEN * mm * mm:
        return None
    x, y = head.plane(photo.shape)
    for side in (-1, 1):
        eye = np.hypot(x - 32.3 * side, y - 1.9) < 9
        if eye.any() and frame[eye].mean() > DARK_LENS:
            return Layers(notes=("The eyes behind dark lenses are not known, so they stay on.",))
    wide = grown(frame, 1.6 * mm)
    gone = smooth_step(0.15, 0.5, blur(wide, 0.6 * mm)) * photo.known
    hole = gone > 0.02
    filled = mirrored_fill(photo.image, hole, (grown(frame, 2.2 * mm) < 0.1))
    return Layers(cover=filled, alpha=gone.astype(np.float32), grain=0.3 * np.ones_like(gone))


def take_out_earrings(photo: View, head: Head) -> Layers | None:
    """Return the photograph without its earrings, None where it wears none."""
    mm = head.scale
    worn = photo.region("earring")
    if (worn > 0.5).sum() < 0.3 * SEEN * mm * mm:
        return None
    gone = smooth_step(0.15, 0.5, blur(grown(worn, 1.5 * mm), 0.6 * mm)) * photo.known
    filled = mirrored_fill(photo.image, gone > 0.02, grown(worn, 2.5 * mm) < 0.1)
    return Layers(cover=filled, alpha=gone.astype(np.float32), grain=0.3 * np.ones_like(gone))
