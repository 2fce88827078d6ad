"""Defaults are those of the papers and their code; what ships is in the recipes."""

import dataclasses

import pytest

from faceedit.additions import Additions
from faceedit.methods import METHODS

PAPERS = {
    # The official mappers' options; lambda_L2 and lambda_ID of Equation 5
    "styleclip_mapper": {
        "space": "w_plus", "to_rgb": False, "depth": 4, "coarse": True, "medium": True,
        "fine": True, "medium_from": 4, "fine_from": 8, "single": False, "lr_multiplier": 0.01,
        "scale": 0.1, "weight_clip": 1.0, "weight_latent_l2": 0.8, "weight_identity": 0.1,
    },
    # The official notebook's weights
    "styleclip_optimization": {
        "space": "w_plus", "weight_clip": 1.0, "weight_latent_l2": 0.008, "weight_identity": 0.005,
    },
    # Appendix C and the official demo: channels moved by 5 deviations around 100 samples
    "styleclip_global": {"alpha": 3.0, "beta": None, "amplitude": 5.0, "images": 100,
                         "base": "sample"},
    "clip_pae": {
        "target": "pae", "projection": "span", "alpha": 2.0, "components": 10,
        "added_text": "projected", "weight_clip": 1.0, "weight_latent_l2": 1.0,
        "weight_identity": 0.5, "weight_consistency": 0.0, "weight_diversity": 0.0,
    },
    # The code's `base`
    "tedigan": {
        "init": "source", "consistency": "encoder", "weight_pixel": 1.0, "weight_feature": 0.2,
        "weight_encoder": 2.0, "weight_clip": 2.0,
    },
    "feat": {
        "layers": (0, 8), "blend_layer": 7, "displacement_scale": 0.5, "mask_threshold": 0.0,
        "attention_channels": 32, "weight_clip": 1.0, "weight_latent_l2": 0.8,
        "weight_area": 0.005, "weight_tv": 6.4e-4, "mask_cut": "hard", "weight_identity": 0.0,
    },
    "ffclip": {
        "blocks": 4, "injection_scales": (1.0, 1.0, 1.0), "text_norm": 10.0, "weight_clip": 8.0,
        "weight_identity": 0.9, "weight_latent_l1": 1.6, "weight_background": 2.0,
        "weight_clip_image": 1.0, "text_input": "embedding", "readout": False,
    },
    # The official training command
    "maniclip": {
        "heads": 8, "layers": 6, "feed_forward": 2048, "dropout": 0.2, "text_scale": 10.0,
        "scale": 0.7, "mode": "single", "entropy": "minmax", "weight_clip": 1.0,
        "weight_identity": 0.05, "weight_background": 1.0, "weight_face_color": 0.05,
        "weight_offset": 0.1, "weight_entropy": 0.2,
    },
    "interfacegan": {
        "conditions": ("femininity", "age", "skin_tone", "glasses", "hat", "smile"),
        "mode": "relative", "step": 1.0,
    },
    "ganspace": {"mode": "offset", "step": 1.0},
    "stylespace": {"rank": 0, "keep": 8, "step": 1.0},
}  # fmt: skip

# Sizes that fit the official networks, and what we added. A config.json leaves defaults out, so
# that another one would change what is published.
OURS = {
    "clip_pae": {
        "w_dim": 512, "embed_dim": 512, "characteristics": None, "normalize_text_direction": False,
        "steps": 60, "learning_rate": 0.05, "patience": 15, "layers": None, "init": "source",
        "step_sizes": (0.0, 0.2, 0.4, 0.55, 0.75, 1.1), "step_penalty": 0.026, "ridge": 0.3,
    },
    "clip_pae_diffusion": {
        "resolution": None, "target": "pae", "projection": "contrast", "alpha": 4.0,
        "components": 10, "characteristics": None, "added_text": "projected",
        "start_noise": "ddim", "steps": 25, "depth": 0.6, "iterations": 2, "eta": 0.0,
        "mode": "full", "scale": 4.0, "inner_steps": 2, "repeats": 2, "repeat_stop": 0.4,
        "blur": 0.01, "cutouts": 4, "normalize_text_direction": False,
        "draft": "noise", "draft_iterations": 20, "draft_steps": 10, "draft_depth": 0.8,
        "draft_rate": 0.2, "guided_redraw": True, "unchanged": 0.08, "changed": 0.2,
        "weight_clip": 2.0, "weight_identity": 0.15, "weight_pixels": 0.4, "weight_range": 0.05,
        "weight_smooth": 0.3,
    },
    "clip_regression": {
        "num_channels": 9088, "embed_dim": 512, "scale": 0.13, "keep": 600, "ridge": 0.3,
        "step_sizes": (0.4, 0.6, 0.8, 1.0, 1.2, 1.5, 1.9), "step_penalty": 0.02,
    },
    "counterfactual": {
        "w_dim": 256, "embed_dim": 128, "width": 320, "blocks": 3, "traits": 128,
        "learned_overdrive": False, "weight_code": 1.0, "weight_image": 1.0,
        "weight_outside": 3.0, "weight_unseen": 0.03, "weight_disturbed": 0.012,
        "weight_clip": 1.0, "weight_latent_l2": 0.008,
    },
    "feat": {
        "num_ws": 18, "w_dim": 512, "feature_channels": (), "text_dim": 0, "text_norm": 10.0,
        "mapper_width": 0, "blend_skip": False, "blend_downstream": False, "blend_image": False,
    },
    "ffclip": {"num_ws": 18, "w_dim": 512, "text_dim": 512, "layer_codes": False},
    "ganspace": {
        "w_dim": 512, "embed_dim": 512, "num_components": 48, "amplitude": 2.0, "limit": 6.0,
        "faces": 8, "population": 800,
    },
    "interfacegan": {"w_dim": 512, "embed_dim": 512, "regularization": 0.1},
    "maniclip": {"w_dim": 512, "embed_dim": 512, "initial_scale": 1.0},
    "styleclip_global": {"num_channels": 9088, "embed_dim": 512, "keep": 40},
    "styleclip_mapper": {
        "w_dim": 512, "style_dims": (), "sentence": "", "norm_axis": "entries", "width": 0,
    },
    "styleclip_optimization": {"steps": 80, "learning_rate": 0.05, "layers": None},
    "stylespace": {
        "num_channels": 9088, "embed_dim": 512, "regions": ("background", "skin", "hair"),
        "gradient_faces": 16, "amplitude": 5.0, "limit": 15.0, "faces": 6, "population": 1500,
    },
    "tedigan": {"steps": 60, "learning_rate": 0.05, "layers": None},
}  # fmt: skip
ELSEWHERE = {"strength_scale", "additions", "wordings"}  # the test below, and tests of words


@pytest.mark.parametrize("name", METHODS)
def test_every_default_is_known(name):
    config = METHODS[name].config_class()
    known = {**PAPERS.get(name, {}), **OURS[name]}
    assert {f.name for f in dataclasses.fields(config)} - ELSEWHERE == set(known)
    assert {key: getattr(config, key) for key in OURS[name]} == OURS[name]


@pytest.mark.parametrize("name", PAPERS)
def test_defaults_are_those_of_the_paper(name):
    config = METHODS[name].config_class()
    assert {key: getattr(config, key) for key in PAPERS[name]} == PAPERS[name]


@pytest.mark.parametrize("name", METHODS)
def test_a_method_as_published_has_no_additions_and_a_scale_of_one(name):
    config = METHODS[name].config_class()
    assert config.strength_scale == 1.0
    given = getattr(config, "additions", Additions())
    ours = {"counterfactual", "clip_pae_diffusion"}  # of which no paper names a recipe
    assert given == Additions() or name in ours
    assert dataclasses.asdict(Additions()) == {
        "sequential": False, "tied_layers": None, "clip_loss": "global", "pae_alpha": 2.0,
        "weight_outside": 0.0,
    }  # fmt: skip
