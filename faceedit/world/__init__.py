"""The portrait world: a procedural renderer of animated-film portraits with exact ground truth."""

from faceedit.world.attributes import (
    NOISE_DIM,
    SPECS,
    WORLD_VERSION,
    AttributeSpec,
    FaceAttributes,
    attributes_from_noise,
    sample_attributes,
)
from faceedit.world.render import Render, can_compile, counterfactual, render
from faceedit.world.shading import REGIONS

__all__ = [
    "NOISE_DIM",
    "REGIONS",
    "SPECS",
    "WORLD_VERSION",
    "AttributeSpec",
    "FaceAttributes",
    "Render",
    "attributes_from_noise",
    "can_compile",
    "counterfactual",
    "render",
    "sample_attributes",
]
