"""The methods by name. A name is also the method's file, recipe and test; its repo has hyphens."""

from faceedit.arguments import shown
from faceedit.errors import UnknownMethodError
from faceedit.method import EditMethod
from faceedit.methods.clip_pae import ClipPae
from faceedit.methods.clip_pae_diffusion import ClipPaeDiffusion
from faceedit.methods.clip_regression import ClipRegression
from faceedit.methods.counterfactual import CounterfactualEditor
from faceedit.methods.feat import Feat
from faceedit.methods.ffclip import FfClip
from faceedit.methods.ganspace import GanSpace
from faceedit.methods.interfacegan import InterFaceGan
from faceedit.methods.maniclip import ManiClip
from faceedit.methods.styleclip_global import StyleClipGlobal
from faceedit.methods.styleclip_mapper import StyleClipMapper
from faceedit.methods.styleclip_optimization import StyleClipOptimization
from faceedit.methods.stylespace import StyleSpace
from faceedit.methods.tedigan import TediGan

METHODS: dict[str, type[EditMethod]] = {
    method.name: method
    for method in (
        ClipPae,
        ClipPaeDiffusion,
        ClipRegression,
        CounterfactualEditor,
        Feat,
        FfClip,
        GanSpace,
        InterFaceGan,
        ManiClip,
        StyleClipGlobal,
        StyleClipMapper,
        StyleClipOptimization,
        StyleSpace,
        TediGan,
    )
}


def method_class(name: str) -> type[EditMethod]:
    """Return the method of that name.

    Raises:
        UnknownMethodError: If there is none; the message lists the names.
    """
    if not isinstance(name, str) or name not in METHODS:
        raise UnknownMethodError(
            f"unknown method {shown(name)}; choose from {sorted(METHODS)}, "
            "or try `pip install -U faceedit` if it is a newer one"
        )
    return METHODS[name]
