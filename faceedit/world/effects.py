"""The couplings of the world: for every attribute, the regions of the picture that it may change.

A counterfactual render changes one attribute and nothing else. What that does to the picture is
declared here, in one table, and a test renders every attribute before and after to hold the
table to it. Four things couple attributes to more than their own region:

- deliberate couplings: age greys hair, brows and beard and bares the forehead; a smile narrows
  the eyes and lifts the cheeks; natural hair colour is that of brows and beard (dyes are not);
  a hat presses the hair down; masculine skin shows a trace of beard;
- geometry: what moves uncovers or covers its neighbours (OUTLINE lists what lies behind a head);
- light: everything casts a soft shadow, and the wall lights the edge of the skin;
- marching: where a ray grazes a hat's fold, its steps depend on how far the nose is.
"""

from __future__ import annotations

from faceedit.world.attributes import SPECS
from faceedit.world.shading import REGIONS

EVERYWHERE = frozenset(REGIONS)
FACE = frozenset(("skin", "nose", "lips", "mouth", "beard", "brows", "eyes", "lens", "glasses"))
OUTLINE = frozenset(("background", "hair", "ear", "earring", "neck", "cloth", "hat"))
UPPER = frozenset(("skin", "nose", "eyes", "brows", "lens", "glasses", "hair", "hat", "ear"))
UPPER |= {"earring"}
LOWER = frozenset(("skin", "nose", "lips", "mouth", "beard", "cloth", "neck", "hair"))
WALL_LIGHT = frozenset(
    ("background", "skin", "nose", "lips", "mouth", "beard", "brows", "ear", "neck")
)
WALL_LIGHT |= {"lens"}
HAIR = frozenset(("hair", "background", "skin", "cloth", "neck", "ear", "earring", "brows"))
HAIR |= {"hat", "lens", "glasses", "eyes", "beard", "nose"}
HAIR |= {"lips", "mouth"}  # a moustache has the strands of the hair, and hangs over them

EFFECTS: dict[str, frozenset[str]] = dict.fromkeys(SPECS, FACE | OUTLINE)
EFFECTS |= dict.fromkeys((n for n, s in SPECS.items() if s.group in ("pose", "light")), EVERYWHERE)
EFFECTS |= dict.fromkeys(
    ("nose_width", "nose_length", "nose_tip"), LOWER | {"glasses", "lens", "background", "hat"}
)
EFFECTS |= dict.fromkeys(("eye_size", "eye_spacing", "eye_tilt", "eye_depth", "nose_bridge"), UPPER)
EFFECTS |= dict.fromkeys(("brow_thickness", "brow_arch", "brow_height", "brow_raise"), UPPER)
EFFECTS |= dict.fromkeys(("lip_fullness", "mouth_width", "mouth_height", "smirk"), LOWER)
EFFECTS |= dict.fromkeys(("hair_style", "fringe", "hair_volume", "parting", "hair_phase"), HAIR)
EFFECTS |= dict.fromkeys(("cloth_hue", "cloth_saturation", "cloth_value"), frozenset({"cloth"}))
EFFECTS |= dict.fromkeys(
    ("background_hue", "background_saturation", "background_value"), WALL_LIGHT
)
EFFECTS |= {
    "skin_tone": FACE | {"ear", "neck", "hair"},  # the scalp shines through very short hair
    "eye_color": frozenset({"eyes"}),
    "gaze_x": frozenset({"eyes"}),
    "gaze_y": frozenset({"eyes"}),
    "freckles": frozenset(("skin", "nose", "lens")),
    "eye_open": UPPER,
    "hair_color": frozenset(
        ("hair", "brows", "beard", "lips", "skin", "nose", "ear", "neck", "lens")
    ),
    "moustache": LOWER,
    "lipstick": frozenset(("lips", "skin", "mouth", "beard", "nose")),
    "lip_hue": frozenset(("lips", "skin", "mouth", "beard", "lens")),
    "eyeshadow": frozenset(("skin", "lens", "brows", "nose")),
    "blush": frozenset(("skin", "lens", "nose", "beard", "ear")),
    "hat_hue": frozenset({"hat"}),
    "earrings": frozenset(("earring", "background", "hair", "skin", "neck", "ear", "cloth")),
    "clothing": frozenset(("cloth", "neck", "skin", "beard", "hair", "background")),
}
