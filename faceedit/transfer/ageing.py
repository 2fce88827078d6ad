"""How much older or younger the drawn pair makes a face, and what years do to its shape."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from faceedit.transfer.movement import Movement
from faceedit.transfer.points import SIDES, Curves
from faceedit.transfer.view import View

FEWEST, MOST = 6.0, 20.0  # years: changes below the first are the reader's noise, above all counts
OLDEST, SHARE = 82.0, 0.45  # whoever is old already has reached the most in this share of the rest
AGED, LEAST = (
    72.0,
    0.8,
)  # whom the sentence calls old and is not yet, becomes it by so much at least
YOUNGER, ADULT = 2.0, 38.0  # years: a step to youth at least; until then a face is young
THINNER = 0.22  # of the lips, share that an old face lacks
CORNERS, BROWS, HOODED = 0.03, 0.025, 0.10  # sinking of the mouth's corners and of the brows; lids
JOWL = np.array([0.035, 0.04])  # of the jaw's corner: outward, down
SAGS = (4, 5, 6)  # places of the outline, from the temple down, that do


def ageing(before: View, after: View) -> float:
    """Return how much older a drawn face got, -1 (much younger) to 1, by what its reader says."""
    if "age" not in before.traits or "age" not in after.traits:
        return 0.0
    years = after.traits["age"] - before.traits["age"]
    asked = after.asked.reaches("age", "old")
    least = LEAST * asked if before.traits["age"] < AGED <= after.traits["age"] + 20 else 0.0
    if after.asked.reaches("age", "young") and (years < -YOUNGER or after.traits["age"] < ADULT):
        return -_rejuvenated(before.traits["age"], years) * after.asked.reaches("age", "young")
    most = MOST
    if years > 0:
        most = min(MOST, max(SHARE * (OLDEST - before.traits["age"]), FEWEST))
    amount = float(np.sign(years)) * float(np.clip((abs(years) - FEWEST) / most, 0, 1))
    return max(amount, least) if least else amount


def _rejuvenated(age: float, years: float) -> float:
    """Return how much younger a face gets that is to be young: as much as it has aged."""
    told = float(np.clip((-years - FEWEST) / MOST, 0, 1))
    return max(told, float(np.clip((age - ADULT) / (AGED - ADULT), 0, 1)))


def aged(movement: Movement, face: Curves, amount: float) -> Movement:
    """Return a movement with what years add: thin lips, low brows and corners, hooded eyes, jowls.

    Args:
        movement: Of the photograph's face.
        face: Its curves in the own frame.
        amount: See `ageing`; below 0 the opposite, half as much.
    """
    if amount == 0:
        return movement
    amount = amount if amount > 0 else amount / 2
    mouth = replace(
        movement.mouth,
        lift=movement.mouth.lift - CORNERS * amount,
        upper=movement.mouth.upper * (1 - THINNER * amount),
        lower=movement.mouth.lower * (1 - 0.6 * THINNER * amount),
    )
    lids = {side: movement.lids.get(side, 1.0) * (1 - HOODED * amount) for side in SIDES}
    shifts = dict(movement.shifts)
    for side in SIDES:
        for edge in (f"brow_{side}", f"brow_lower_{side}"):
            outward = np.linspace(1, 0.3, len(face[edge]))[:: 1 if side == "left" else -1]
            down = BROWS * amount * outward
            shifts[edge] = shifts.get(edge, 0.0) + np.stack([np.zeros_like(down), down], 1)
    outline = np.zeros_like(face["outline"])
    for place in SAGS:
        outline[place] = JOWL * amount * (-1, 1)
        outline[-1 - place] = JOWL * amount
    shifts["outline"] = shifts.get("outline", 0.0) + outline
    return Movement(mouth, lids, shifts)
