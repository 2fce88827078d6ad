"""Settings of methods as folders of format 1 name them, and what they are called now.

A folder that was saved before format 2 is read through this once; `save_pretrained` writes it anew.
Nothing else knows the former names.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from faceedit.arguments import shown
from faceedit.errors import RepoError

logger = logging.getLogger(__name__)

_TIED = {"one_offset": "additions.tied_layers"}
_TEXT_LOSS = {"aim": "additions.clip_loss", "pae_alpha": "additions.pae_alpha"}
_SEQUENTIAL = {"in_turn": "additions.sequential"}
_OUTSIDE = {"weight_outside": "additions.weight_outside"}

# Method -> former name -> present name; "additions.x" lies in the nested additions.
RENAMED: dict[str, dict[str, str]] = {
    "clip_pae": {
        **_TIED,
        **_OUTSIDE,
        "equal_push": "normalize_text_direction",
        "text": "added_text",
        "start": "init",
        "lengths": "step_sizes",
        "price": "step_penalty",
    },
    "clip_pae_diffusion": {**_OUTSIDE, "text": "added_text", "start": "start_noise"},
    "clip_regression": {
        **_SEQUENTIAL,
        "alpha": "scale",
        "lengths": "step_sizes",
        "price": "step_penalty",
    },
    "counterfactual": {**_SEQUENTIAL, "reach": "learned_overdrive"},
    "feat": {**_TIED, **_TEXT_LOSS, **_SEQUENTIAL, "alpha": "displacement_scale"},
    "ffclip": {**_TIED, **_TEXT_LOSS, **_SEQUENTIAL, "text": "text_input"},
    "maniclip": {**_TIED, **_TEXT_LOSS},
    "styleclip_optimization": _TIED,
    "tedigan": {**_TIED, "start": "init"},
}

# Method -> former name -> the only value that still exists, as a constant of the method.
FIXED: dict[str, dict[str, Any]] = {
    "clip_pae": {"alpha_plain": 8.0},
    "clip_pae_diffusion": {
        "alpha_plain": 8.0,
        "smallest_cutout": 0.7,
        "guidance_start": 0.0,
        "guidance_stop": 0.9,
        "blend": False,
        "max_rms": 0.05,
    },
    "feat": {"mask_temperature": 1.0},
    "ffclip": {"arch": "ffclip", "kept_regions": ["background", "cloth"]},
    "stylespace": {"candidates": 6, "probes": 2},
    "styleclip_global": {
        "effect": "perturbed",
        "in_turn": False,
        "lengths": [1.0],
    },
}

# Method -> former names that had no effect in what is left.
DROPPED: dict[str, frozenset[str]] = {
    "ffclip": frozenset({"heads"}),
    "styleclip_global": frozenset({"ridge", "price"}),
    "clip_regression": frozenset({"beta", "amplitude", "images", "base", "effect"}),
}

# Method -> present names of what an older folder still may lack; they get the defaults.
LACKED: dict[str, frozenset[str]] = {
    "clip_pae": frozenset(
        {"additions", "normalize_text_direction", "w_dim", "embed_dim", "init", "step_sizes"}
        | {"step_penalty", "ridge"}
    ),
    "clip_pae_diffusion": frozenset(
        {"additions", "draft_iterations", "draft_steps", "draft_depth", "draft_rate"}
    ),
    "counterfactual": frozenset({"additions", "learned_overdrive"})
    | frozenset({"weight_unseen", "weight_disturbed"}),
    "styleclip_mapper": frozenset({"space", "style_dims", "to_rgb"}),
    **dict.fromkeys(
        ("feat", "ffclip", "maniclip", "styleclip_optimization", "tedigan"),
        frozenset({"additions"}),
    ),
}

# The same of folders of any format: settings that came later, whose defaults do what was done.
ADDED: dict[str, frozenset[str]] = {
    "clip_pae_diffusion": frozenset({"draft", "guided_redraw", "normalize_text_direction"}),
}


def present_name(method: str, settings: Mapping[str, Any]) -> str:
    """Return the method that a folder of format 1 holds: its regression has its own name now."""
    regressed = method == "styleclip_global" and settings.get("effect") == "regressed"
    return "clip_regression" if regressed else method


def present_settings(method: str, settings: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return settings of format 1 under their present names.

    Raises:
        RepoError: If one has a value that no longer exists.
    """
    if not isinstance(settings, Mapping):
        raise RepoError(f"{folder}: the settings are {shown(settings)}; they must be an object")
    now: dict[str, Any] = {}
    fixed, dropped = FIXED.get(method, {}), DROPPED.get(method, frozenset())
    for name, value in settings.items():
        if name in fixed:
            if value != fixed[name]:
                raise RepoError(
                    f"{folder} sets {name} to {shown(value)}, which was taken away; "
                    f"only {fixed[name]!r} is left: make its weights anew with that"
                )
        elif name not in dropped:
            place, _, nested = RENAMED.get(method, {}).get(name, name).partition(".")
            if nested:
                now.setdefault(place, {})[nested] = value
            else:
                now[place] = value
    if now != dict(settings):
        logger.info("%s has names of format 1; save it anew to use the present ones", folder.name)
    return now
