"""The portrait world: a procedural renderer of animated-film portraits with exact ground truth."""

from faceedit.world.attributes import SPECS, WORLD_VERSION, AttributeSpec, FaceAttributes
from faceedit.world.landmarks import (
    LANDMARKS,
    MESH,
    Landmarks,
    landmarks,
    mirrored_landmarks,
)
from faceedit.world.population import NOISE_DIM, attributes_from_noise, sample_attributes
from faceedit.world.render import Render, can_compile, counterfactual, render
from faceedit.world.shading import REGIONS

__all__ = [
    "LANDMARKS",
    "MESH",
    "NOISE_DIM",
    "REGIONS",
    "SPECS",
    "WORLD_VERSION",
    "AttributeSpec",
    "FaceAttributes",
    "Landmarks",
    "Render",
    "attributes_from_noise",
    "can_compile",
    "counterfactual",
    "landmarks",
    "mirrored_landmarks",
    "render",
    "sample_attributes",
]
