"""What to do where a base lacks a network or a method: the command that brings it.

Only texts: nothing heavy is imported, and nothing is looked up but what the caller says.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

# Methods that `faceedit setup ffhq` brings; those whose files it cannot fetch; those of files.
FETCHED = ("styleclip_global", "interfacegan", "ganspace", "clip_pae_diffusion")
BY_HAND = {"styleclip_mapper": "afro.pt"}
CONVERTED = {
    "feat": "0-8/beard/checkpoints/10000_beard.pt",
    "ffclip": "its checkpoint of faces",
    "maniclip": "pretrained_edit_model.pth.tar",
}
# Methods that can be trained or fitted for any base, and how.
TRAINED = ("clip_regression", "styleclip_global", "styleclip_mapper", "feat", "ffclip", "maniclip")
WORLD_ONLY = {
    "counterfactual": "it learns from true edits, which only the portrait world's renderer makes",
    "stylespace": "it is fitted to labels, which only a base with an attribute reader gives",
}
RENDERED = "faceedit/portraits-128"


@dataclass(frozen=True)
class Place:
    """The base in question.

    Attributes:
        base: Its folder; None where the networks came from none.
        official: Whether it was converted from official weights.
    """

    base: Path | None = None
    official: bool = False

    @property
    def setup(self) -> str:
        """The command that brings official files to this base."""
        parent = self.base.parent if self.base is not None else Path("ffhq")
        return f"python -m faceedit setup ffhq --into {parent}"

    def network(self, name: str) -> str:
        """Say how to get a network."""
        if not self.official or self.base is None:
            return f"load a base that has one, like {RENDERED}; or `{self.setup}`"
        if name in ("generator", "encoder", "clip", "identity", "face_parser"):
            return f"`{self.setup}` brings it"
        if name in ("segmenter", "landmarks"):
            return f"it is taken from {RENDERED}; `hf download {RENDERED}` brings that here"
        if name == "diffusion":
            return self.method("clip_pae_diffusion")
        return f"there is no official file of it; only {RENDERED} has one"

    def method(self, name: str) -> str:
        """Say how to get what a method has learned, for this base."""
        if name in WORLD_ONLY and self.official:
            return WORLD_ONLY[name]
        base = self.base if self.base is not None else Path("ffhq/base")
        folder = base.parent / name.replace("_", "-")
        ways = []
        if self.official and name in FETCHED:
            ways.append(f"`{self.setup}` brings it")
        if self.official and name in BY_HAND:
            ways.append(f"`{self.setup} --from FOLDER` takes its files, like {BY_HAND[name]}")
        if self.official and name in CONVERTED:
            ways.append(
                f"`python -m faceedit convert FILE --base {base} --into {folder}` takes "
                f"{CONVERTED[name]}"
            )
        if name in TRAINED:
            ways.append(f"`python training/train.py --task {name} --base {base}` makes it")
        return ", or ".join(ways) or f"load {RENDERED}, which has it"
