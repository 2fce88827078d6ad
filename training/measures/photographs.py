"""The table of photographs: what the networks make of labelled portraits, against bars.

`python -m training.evaluate --photographs DIR` prints it for any folder whose layout is that of
`training.photographs.portraits`. Every measure is a score of single photographs, so that it can
also be given for each skin tone, sex and age. Photographs that cannot be used are listed at the
end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import fmean

from faceedit.backbones import load_backbones, load_component
from faceedit.hub import read_base
from faceedit.inversion import encode
from faceedit.photo.framing import Framing
from training.config import ConfigError
from training.photographs.likeness import (
    CHARACTER_MEASURES,
    character_scores,
    read_characters,
    skin_rank,
)
from training.photographs.measure import (
    EYES_AND_MOUTH,
    find_points,
    point_errors,
    region_scores,
    to_image,
)
from training.photographs.portraits import (
    FOLDS,
    LabelledPhoto,
    PortraitFolder,
    SkippedPhotoError,
)

__all__ = ["READERS", "ROWS", "Report", "Row", "Scores", "measure_photographs", "table"]

Scores = dict[str, float]  # of one photograph, by measure; what does not apply is left out
Reader = Callable[[LabelledPhoto, Path], Scores]  # a photograph and its file -> scores
SIDE = 128  # px of the crops, as the product cuts them for its generator


@dataclass(frozen=True)
class Row:
    """A measure of the table.

    Attributes:
        title: What stands in the table.
        bar: What it should reach on photographs that were not learned from; None: it has none.
        higher: Whether more is better.
        summary: From the scores of all photographs to the number; the mean of its own by default.
    """

    title: str
    bar: float | None = None
    higher: bool = True
    summary: Callable[[Sequence[Scores]], float | None] | None = None


ROWS: dict[str, Row] = {
    "lips": Row("IoU with the mesh: lips", 0.82),
    "eyes": Row("IoU with the mesh: eyes", 0.76),
    "brows": Row("IoU with the mesh: brows", 0.66),
    "face": Row("IoU with the mesh: face", 0.86),
    "person": Row("IoU: person against background", 0.965),
    "off_person": Row("hair, hat or beard off the person, share of the picture", 0.003, False),
    "beard_on_women": Row("beard on women, share of the picture", None, False),
    "covered": Row("covering found where a head is covered, share of photographs"),
    "bare": Row("no covering found where a head is bare, share of photographs"),
    "points": Row("landmarks: mean error of 25 points / distance of the pupils", 0.05, False),
    "eye_points": Row("landmarks: mean error of eyes and mouth", 0.035, False),
    **{m.name: Row(f"inverted portrait: {m.name}", m.bar) for m in CHARACTER_MEASURES},
    "skin tone": Row("inverted portrait: skin tone, rank correlation", 0.88, summary=skin_rank),
}
GROUPS: dict[str, Callable[[Mapping[str, object]], str]] = {
    "skin": lambda label: str(label["skin"]),
    "sex": lambda label: str(label["sex"]),
    "age": lambda label: _age_group(float(str(label["visible_age"]))),
}
LEAST_OF_A_GROUP = 5  # photographs: fewer say nothing of a group


def _age_group(years: float) -> str:
    return "under 35" if years < 35 else "35 to 55" if years < 56 else "over 55"


@dataclass
class Report:
    """What was measured.

    Attributes:
        scores: Of every photograph, by id.
        labels: Of the same.
        skipped: Why others could not be used.
    """

    scores: dict[str, Scores] = field(default_factory=dict)
    labels: dict[str, Mapping[str, object]] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)

    def value(self, name: str, ids: Iterable[str] | None = None) -> float | None:
        """Return a measure over all photographs, or some; None where it applies to none."""
        rows = [self.scores[i] for i in (self.scores if ids is None else ids)]
        summary = ROWS[name].summary
        if summary is not None:
            return summary(rows)
        found = [row[name] for row in rows if name in row]
        return fmean(found) if found else None

    def gap(self, name: str) -> tuple[float, str] | None:
        """Return the largest gap between two groups of people, and which they are."""
        gaps = []
        for kind, group_of in GROUPS.items():
            groups: dict[str, list[str]] = {}
            for i, label in self.labels.items():
                if name in self.scores[i]:
                    groups.setdefault(group_of(label), []).append(i)
            values = {
                group: value
                for group, ids in groups.items()
                if len(ids) >= LEAST_OF_A_GROUP and (value := self.value(name, ids)) is not None
            }
            if len(values) > 1:
                low, high = min(values, key=values.__getitem__), max(values, key=values.__getitem__)
                gaps.append((values[high] - values[low], f"{kind}: {low} to {high}"))
        return max(gaps, default=None)


def measure_photographs(root: Path, base: Path, judges: Path, fold: int | None = None) -> Report:
    """Measure a base's networks on a folder of labelled photographs.

    Args:
        root: The folder, see `training.photographs.portraits`.
        base: The networks.
        judges: Those that read what inverted portraits show.
        fold: Which of the FOLDS to measure: what trainings with `held_out` set to it have not
            learned from; None measures all.

    Raises:
        ConfigError: If the folder cannot be used at all; single photographs are skipped.
    """
    folder, report = PortraitFolder(root), Report()
    readers = [make(base, judges) for make in READERS]
    for name in list(folder.labels)[fold :: FOLDS if fold is not None else 1]:
        try:
            photo = folder.read(name, SIDE, Framing.WORLD)
            path = folder.photo_path(name)
            report.scores[name] = {k: v for read in readers for k, v in read(photo, path).items()}
            report.labels[name] = photo.labels
        except SkippedPhotoError as error:
            report.skipped.append(str(error))
    if not report.scores:
        reasons = "; ".join(report.skipped[:3])
        raise ConfigError(f"no photograph of {root} can be used: {reasons}")
    return report


def regions_and_points(base: Path, judges: Path) -> Reader:
    """Return what compares the parser and the landmarks of a base with the mesh."""
    del judges
    has = read_base(base)["components"]
    networks = load_backbones(base, [n for n in ("segmenter", "landmarks") if n in has])

    def read(photo: LabelledPhoto, path: Path) -> Scores:
        del path
        scores: Scores = {}
        if networks.segmenter is not None:
            scores |= region_scores(photo, networks.segmenter)
            beard, covering = scores.pop("beard"), scores.pop("covering")
            if photo.labels["sex"] == "female":
                scores["beard_on_women"] = beard
            worn = covering > LEAST_COVERING
            covered = photo.labels["headwear"] == "headscarf"
            scores["covered" if covered else "bare"] = float(worn == covered)
        if networks.landmarks is not None:
            errors = point_errors(photo, find_points(photo, networks.landmarks))
            scores["points"] = fmean(errors.values())
            scores["eye_points"] = fmean(errors[number] for number in EYES_AND_MOUTH)
        return scores

    return read


def characters(base: Path, judges: Path) -> Reader:
    """Return what compares the portrait that a base draws for a photograph with its labels."""
    if not {"encoder", "generator"} <= read_base(base)["components"].keys():
        return lambda photo, path: {}
    read_too = ("encoder", "photo_encoder", "segmenter", "landmarks", "generator")
    has = read_base(base)["components"]
    networks = load_backbones(base, [name for name in read_too if name in has])
    judge = load_component("attributes", judges / "attributes")

    def read(photo: LabelledPhoto, path: Path) -> Scores:
        del path
        image = to_image(photo)
        (reading,) = read_characters(
            image, partial(encode, backbones=networks), networks.generator, judge
        )
        return character_scores(photo.labels, reading)

    return read


LEAST_COVERING = 0.01  # of the picture: a head counts as covered from there on
READERS: tuple[Callable[[Path, Path], Reader], ...] = (regions_and_points, characters)


def table(report: Report) -> str:
    """Return the table in Markdown, with what was skipped."""
    lines = [
        f"{len(report.scores)} photographs.",
        "",
        "| measure | number | bar | largest gap between groups |",
        "| --- | ---: | --- | --- |",
    ]
    for name, row in ROWS.items():
        value = report.value(name)
        if value is None:
            continue
        bar = "-"
        if row.bar is not None:
            met = value >= row.bar if row.higher else value <= row.bar
            bar = f"{'≥' if row.higher else '≤'} {row.bar:g}, {'met' if met else '**missed**'}"
        gap = report.gap(name)
        told = "-" if gap is None else f"{gap[0]:.3f} ({gap[1]})"
        lines.append(f"| {row.title} | {value:.3f} | {bar} | {told} |")
    if report.skipped:
        lines += ["", f"Skipped {len(report.skipped)}:", *(f"- {why}" for why in report.skipped)]
    return "\n".join(lines) + "\n"
