"""The same person in several pictures, for face recognition: what changes is all but the person."""

from __future__ import annotations

from functools import cache

import torch

from faceedit.world import NOISE_DIM, SPECS, FaceAttributes, attributes_from_noise

__all__ = ["PERSONAL", "personal_columns", "sample_person"]

PERSONAL = ("identity", "age")  # groups of attributes that make a person; all others may change


@cache
def personal_columns() -> tuple[int, ...]:
    """Return the columns of the population's noise that decide who someone is.

    Found by trying: a column belongs to the person if changing it changes an attribute of
    PERSONAL. So this follows whatever the world's population does.
    """
    personal = torch.tensor([spec.group in PERSONAL for spec in SPECS.values()])
    noise = torch.randn(128, NOISE_DIM, generator=torch.Generator().manual_seed(0))
    before = attributes_from_noise(noise).values[:, personal]
    columns = []
    for column in range(NOISE_DIM):
        changed = noise.clone()
        changed[:, column] = changed[:, column].roll(1)
        if not torch.equal(attributes_from_noise(changed).values[:, personal], before):
            columns.append(column)
    return tuple(columns)


def sample_person(views: int, seed: int) -> FaceAttributes:
    """Draw one person in several views.

    Hair, beard, make-up, accessories, expression, pose, light, background and clothes are drawn
    anew for every view from what the world thinks plausible for that person.

    Args:
        views: How many.
        seed: The same seed gives the same person and views.
    """
    noise = torch.randn(views, NOISE_DIM, generator=torch.Generator().manual_seed(seed))
    columns = list(personal_columns())
    noise[:, columns] = noise[:1, columns]
    return attributes_from_noise(noise)
