"""What is said of a result: how far it follows the sentence, who is still there, what else moved.

These are read by the networks that the methods see, so they guide, they do not judge; the
benchmark's judges are other networks.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from demo.words import seconds

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from faceedit.backbones import Backbones
    from faceedit.types import EditResult, Face

NOTHING = 0.02  # rise of the cosine to the sentence: less is not to be seen
ENOUGH = 0.5  # of the strongest answer: less is no answer, however little else it changes
NO_MEANING = ("hair_phase",)  # attributes that nobody would miss


@dataclass
class Tile:
    """One result, as the page shows it. Pictures are paths of labelled files."""

    name: str  # the method's, or "truth"
    title: str
    face: str
    whole: str  # pasted into the photo; the face again where there is none
    seconds: float
    sentence: float | None = None  # rise of the cosine of picture and sentence
    identity: float | None = None  # cosine of the two faces, 1 is the same
    collateral: float | None = None  # mean change of what the sentence does not name, 0 to 1
    mask: str | None = None
    layers: list[float] = field(default_factory=list)  # relative movement of each layer
    note: str = ""
    doubts: tuple[str, ...] = ()  # why the result may be about something else

    @property
    def caption(self) -> str:
        """The line under the tile: what a visitor cannot see, and what the method did not do."""
        if self.name == "truth":
            return f"{self.title}: the exact edit"
        failed = "" if self.answers() else " · did not change what you asked"
        return f"{self.title} · {seconds(self.seconds)}{failed}"

    def answers(self) -> bool:
        """Whether the picture came closer to the sentence, as far as that is known."""
        return self.sentence is None or self.sentence >= NOTHING

    def measures(self) -> list[str]:
        """Return the three measures in words, those that are known."""
        words = []
        if self.sentence is not None:
            words.append(f"sentence {self.sentence:+.2f}")
        if self.identity is not None:
            words.append(f"identity {self.identity:.2f}")
        if self.collateral is not None:
            words.append(f"collateral {self.collateral:.1%}")
        return words

    def facts(self) -> dict[str, Any]:
        """Return what the API and settings.json say of the result."""
        facts = asdict(self)
        for name in ("face", "whole", "mask"):
            facts.pop(name)
        return facts


def collateral(before: Tensor, after: Tensor, meant: set[str], backbones: Backbones) -> float:
    """Return how far attributes moved that the sentence does not name, mean of all, 0 to 1.

    A number moves by its share of the range, a hue by its share of half a turn, a choice by the
    probability that changed hands.

    Args:
        before: [1, 3, h, w], RGB in [-1, 1].
        after: The same face, edited.
        meant: Names of the attributes that may change.
        backbones: Needs `attributes`.
    """
    import torch

    reader = backbones.require("attributes", "the measure of collateral change")
    with torch.no_grad():
        read = reader(torch.cat([before, after]))
    moved = []
    for head in reader.config.heads:
        if head.name in meant or head.name in NO_MEANING:
            continue
        value = read[head.name]
        if head.values:
            chance = value.softmax(1)
            moved.append(0.5 * (chance[1] - chance[0]).abs().sum())
        else:
            step = (value[1] - value[0]).abs() / (head.high - head.low)
            if head.circular:
                step = 2 * torch.minimum(step % 1, 1 - step % 1)
            moved.append(step.clamp(max=1))
    return float(torch.stack(moved).mean()) if moved else 0.0


def scores(before: Face, after: Tensor, prompt: str, backbones: Backbones) -> dict[str, float]:
    """Return sentence gain and identity of any picture of the face, as `FaceEditor` has them."""
    import torch

    from faceedit.words.sentence import read

    clip = backbones.require("clip", "the measure of the sentence")
    target = read(prompt, "a face", clip).target[0]
    with torch.no_grad():
        both = torch.cat([before.image, after.to(before.image)])
        fits = clip.encode_image(both) @ target
        found = {"clip_gain": (fits[1] - fits[0]).item()}
        if backbones.identity is not None:
            first, second = backbones.identity.embed(both)
            found["identity"] = (first @ second).item()
    return found


def layer_reaction(result: EditResult, backbones: Backbones) -> list[float]:
    """Return how far each layer of the generator was moved, the largest 1; [] without layers."""
    from faceedit.types import Space

    if result.source.space is not result.edited.space:
        return []
    step = (result.edited.code - result.source.code)[0].detach().float()
    if result.source.space is Space.W_PLUS:
        sizes = step.norm(dim=-1)
    elif result.source.space is Space.S and backbones.generator is not None:
        generator = backbones.generator
        parts = step.split([layer.channels for layer in generator.style_layers])
        sizes = step.new_zeros(generator.num_ws)
        for layer, part in zip(generator.style_layers, parts, strict=True):
            sizes[layer.w_index] += part.square().sum()
        sizes = sizes.sqrt()
    else:
        return []
    largest = float(sizes.max())
    return [round(float(size) / largest, 4) for size in sizes] if largest > 0 else []


def mask_picture(mask: Tensor, face: Image.Image) -> Image.Image:
    """Return the face with the places lit where an edit acted: a mask [1, 1, h, w] in [0, 1]."""
    from PIL import Image

    values = mask[0, 0].detach().float().clamp(0, 1).mul(255).round().byte().cpu().numpy()
    light = Image.fromarray(values, "L").resize(face.size, Image.Resampling.BILINEAR)
    dark = Image.blend(face, Image.new("RGB", face.size), 0.75)
    return Image.composite(face, dark, light)


def measured(tiles: Sequence[Tile]) -> list[Tile]:
    """Return the methods' results of which enough is known to choose among them."""
    return [
        tile
        for tile in tiles
        if tile.name != "truth" and None not in (tile.sentence, tile.identity)
    ]


def best_of(tiles: Sequence[Tile]) -> Tile | None:
    """Return the result that keeps most, of those that answer well; None if none answers."""
    known = [tile for tile in measured(tiles) if tile.answers() and not tile.doubts]
    if not known:
        return None
    most = max(tile.sentence or 0 for tile in known)
    enough = [tile for tile in known if (tile.sentence or 0) >= ENOUGH * most]
    return min(enough, key=lambda tile: (tile.collateral or 0) + 0.5 * (1 - (tile.identity or 0)))


def in_order(tiles: Sequence[Tile]) -> list[Tile]:
    """Return the best first, then the truth, then the others as they came."""
    best = best_of(tiles)
    rank = {"truth": 1} if best is None else {best.name: 0, "truth": 1}
    return sorted(tiles, key=lambda tile: (rank.get(tile.name, 2), not tile.answers()))


def verdict(tiles: Sequence[Tile]) -> str:
    """Return which result is best and why, in words."""
    known = measured(tiles)
    if doubts := dict.fromkeys(doubt for tile in known for doubt in tile.doubts):
        words = " ".join(
            f"{html.escape(doubt[0].upper() + doubt[1:], quote=False)}." for doubt in doubts
        )
        return f"**No result is called the best.** {words}"
    best = best_of(tiles)
    if best is None:
        return "No method did this. Try other words or more strength." if known else ""
    strongest = max(known, key=lambda tile: tile.sentence or 0)
    if len(known) == 1:
        return f"{best.title} did what you asked."
    share = (best.sentence or 0) / (strongest.sentence or 1)
    why = (
        "no other comes closer to the sentence"
        if best is strongest
        else f"it reaches {share:.0%} of the strongest answer ({strongest.title})"
    )
    return (
        f"**Best compromise: {best.title}.** Here {why}, and of those that answer at least half as "
        f"strongly it keeps the person and everything else best "
        f"({', '.join(best.measures()[1:])})."
    )


def table(tiles: Sequence[Tile]) -> str:
    """Return the measures as an HTML table with bars."""
    if not tiles:
        return ""
    rows = "".join(_row(tile, tiles) for tile in tiles)
    heads = (
        ("Method", ""),
        ("Time", ""),
        ("Sentence", "how much closer the picture came to the sentence; more is better"),
        ("Identity", "how much it is still the same person, 1 is the same; more is better"),
        ("Collateral", "how much changed that the sentence does not name; less is better"),
    )
    head = "".join(f'<th scope="col" title="{hint}">{name}</th>' for name, hint in heads)
    return (
        '<div class="fe-scroll" tabindex="0" role="region" aria-label="Measures of the results">'
        '<table class="fe-table"><caption>Sentence: more is better. Identity: 1 is the same '
        "person. Collateral: change of what was not asked, less is better.</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _row(tile: Tile, tiles: Sequence[Tile]) -> str:
    gain = max((t.sentence or 0 for t in tiles), default=0) or 1
    other = max((t.collateral or 0 for t in tiles), default=0) or 1
    cells = (
        _bar(tile.sentence, (tile.sentence or 0) / gain, "{:+.2f}"),
        _bar(tile.identity, tile.identity or 0, "{:.2f}"),
        _bar(tile.collateral, (tile.collateral or 0) / other, "{:.1%}", bad=True),
    )
    title = html.escape(tile.title)
    note = f"<small>{html.escape(tile.note)}</small>" if tile.note else ""
    return (
        f'<tr><th scope="row">{title}{note}</th><td>{seconds(tile.seconds)}</td>'
        + "".join(f"<td>{cell}</td>" for cell in cells)
        + "</tr>"
    )


def _bar(value: float | None, share: float, words: str, bad: bool = False) -> str:
    if value is None:
        return "-"
    width = 100 * min(max(share, 0), 1)
    kind = "fe-bar fe-bad" if bad else "fe-bar"
    return f'{words.format(value)}<span class="{kind}"><i style="width:{width:.0f}%"></i></span>'


def chosen(tile: Tile) -> str:
    """Return what is said of the result in the slider: its name, its measures, its layers."""
    words = html.escape(" · ".join([seconds(tile.seconds), *tile.measures()]))
    note = f"<br>{html.escape(tile.note)}" if tile.note else ""
    line = f"<p>In the slider: <b>{html.escape(tile.title)}</b>, {words}{note}</p>"
    return line + layers_picture(tile.layers, tile.title)


def layers_picture(layers: Sequence[float], title: str) -> str:
    """Return the reaction of every layer as bars in HTML; "" where a method has no layers."""
    if not layers:
        return ""
    most = max(range(len(layers)), key=lambda i: layers[i])
    names = ("shape and pose", "features", "colours and texture")
    third = min(3 * most // len(layers), 2)
    words = f"{title} moves layer {most} most: {names[third]}."
    bars = "".join(f'<i style="height:{max(2, 100 * x):.0f}%"></i>' for x in layers)
    return (
        f'<figure class="fe-layers"><div role="img" aria-label="{html.escape(words)}">{bars}</div>'
        f"<figcaption>How far each of the {len(layers)} layers was moved, coarse to fine. "
        f"{html.escape(words)}</figcaption></figure>"
    )
