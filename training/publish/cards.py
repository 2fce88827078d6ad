"""Write the model cards: `python -m training.publish.cards` fills `hub_cards/<repo>/README.md`.

The words come from `hub_cards/templates/` and `faceedit/notes.py`, the commands from each
folder's `training_args.json`, the numbers from `hub_cards/benchmark/`. `--check` writes nothing and
says which cards are out of date or break a rule of `training.publish.card_rules`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from faceedit.errors import FaceEditError
from faceedit.hub import CONFIG, WEIGHTS, read_config
from faceedit.notes import METHOD_NOTES, SPEED_WORDS, Paper
from training.config import (
    ROOT,
    ConfigError,
    unknown,
)
from training.publish.card_commands import _changed, _provenance, read_arguments, reproduce_command
from training.publish.card_numbers import NETWORKS, RESULTS, Number, numbers_of, read_method

__all__ = ["card_of", "main", "repo_folders", "write_cards"]

HUB_CARDS = ROOT / "hub_cards"
PROMPT = "a smiling face"
DATASET = ("faceedit/portrait-world", "portrait world, held out")
PARTS = {
    "attributes": "reads the world's attributes off a picture",
    "clip": "the layers and names of `transformers.CLIPModel`, and its own small tokenizer",
    "diffusion": "a denoiser of faces, for the diffusion methods",
    "encoder": "e4e: a picture to its code in w_plus",
    "generator": "StyleGAN2; `attribute_mapping` beside it gives the code of any attributes",
    "identity": "IR-SE face recognition, for losses",
    "landmarks": "131 named points of a face",
    "photo_encoder": "whom a photograph shows, off the maps of the others, and its code",
    "segmenter": "the regions of a face",
}
OURS = Paper(
    "faceedit: published text-driven face editors, side by side",
    ("The faceedit authors",),
    "software",
    2026,
    "",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check cards; return the exit status (1: a card is not as it should be)."""
    parser = argparse.ArgumentParser(prog="cards", description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing, say what is wrong")
    parser.add_argument("--only", nargs="+", default=[], metavar="REPO", help="these folders only")
    parser.add_argument("--hub_cards", default=str(HUB_CARDS), metavar="DIR", help="the folders")
    typed = parser.parse_args(arguments)
    folder = ROOT / typed.hub_cards
    try:
        if typed.check:
            return _report(stale_cards(folder, typed.only))
        for path in write_cards(folder, typed.only):
            print(f"wrote {path}")
    except (ConfigError, FaceEditError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _report(problems: Sequence[str]) -> int:
    print("\n".join(problems) or "all cards are as they should be")
    return 1 if problems else 0


def stale_cards(hub_cards: Path, only: Sequence[str] = ()) -> list[str]:
    """Return what is wrong with the cards: out of date, or against a rule."""
    from training.publish.card_rules import check_card

    problems = []
    for folder in _chosen(hub_cards, only):
        path = folder / "README.md"
        if not path.is_file() or path.read_text(encoding="utf-8") != card_of(folder, hub_cards):
            problems.append(f"{folder.name}: out of date; run python -m training.publish.cards")
        problems += [f"{folder.name}: {problem}" for problem in check_card(folder, hub_cards)]
    return problems


def write_cards(hub_cards: Path = HUB_CARDS, only: Sequence[str] = ()) -> list[Path]:
    """Write the README.md of every repo folder, or of those named, and return the paths."""
    written = []
    for folder in _chosen(hub_cards, only):
        path = folder / "README.md"
        path.write_text(card_of(folder, hub_cards), encoding="utf-8")
        written.append(path)
    return written


def _chosen(hub_cards: Path, only: Sequence[str]) -> list[Path]:
    folders = {folder.name: folder for folder in repo_folders(hub_cards)}
    if (hub_cards / "judges").is_dir():
        folders["judges"] = hub_cards / "judges"
    for name in only:
        if name not in folders:
            raise unknown("repo", name, folders)
    return [folder for name, folder in folders.items() if not only or name in only]


def repo_folders(hub_cards: Path = HUB_CARDS) -> list[Path]:
    """Return the folders that are pushed as repos, bases first: those with a config.json."""
    folders = [path.parent for path in sorted(hub_cards.glob(f"*/{CONFIG}"))]
    return sorted(folders, key=lambda folder: read_config(folder).get("kind") != "base")


# ------------------------------------------------------------------------------ one card
def card_of(folder: Path, hub_cards: Path = HUB_CARDS) -> str:
    """Return the text of a repo's card.

    Raises:
        RepoError: If its config cannot be read.
        ConfigError: If it is of a method without a note.
    """
    if folder.name == "judges":
        kind, facts = "judges", _judges_facts()
    elif read_config(folder).get("kind") == "base":
        kind, facts = "base", _base_facts(folder)
    else:
        kind, facts = "method", _method_facts(folder)
    numbers = numbers_of(folder, hub_cards)
    source = RESULTS if kind == "method" else NETWORKS
    facts |= {"numbers": numbers, "source": source, **_measured_by(kind), **_shared(folder)}
    facts["card_data"] = _front_matter(folder, kind, numbers, facts)
    return _render(kind, facts)


def _measured_by(kind: str) -> dict[str, str]:
    """Say how the numbers came about, and where the page about them is."""
    networks = (
        "Measured on held-out renders, which no training has seen; where an answer is judged, by "
        "judges of another shape and seed"
    )
    methods = (
        "Measured by `python -m training.evaluate` on faces and prompts that no training has "
        "seen, by judges that no training reads"
    )
    if kind == "method":
        page, aside = "docs/benchmark.md", "95% interval"
        return {"how_measured": methods + ".", "page": page, "aside": aside}
    return {"how_measured": networks + ".", "page": "docs/networks.md", "aside": "bar"}


def _shared(folder: Path) -> dict[str, Any]:
    """Return what every card says."""
    from faceedit.hub import OWNER
    from faceedit.world import WORLD_VERSION

    return {
        "owner": OWNER,
        "repo_id": f"{OWNER}/{folder.name}",
        "prompt": PROMPT,
        "world_version": WORLD_VERSION,
    }


def _method_facts(folder: Path) -> dict[str, Any]:
    name, config = read_method(folder), read_config(folder)
    if name not in METHOD_NOTES:
        raise unknown("method (add a note to faceedit/notes.py)", name, METHOD_NOTES)
    note = METHOD_NOTES[name]
    base = str(config.get("base_model_name_or_path", ""))
    arguments = read_arguments(folder)
    variants = config.get("variants")
    return {
        "note": note,
        "speed": SPEED_WORDS[note.speed],
        "base_id": base,
        "base_name": base.split("/")[-1],
        "other": "styleclip-optimization" if name == "clip_regression" else "clip-regression",
        "pictures": [
            path.relative_to(folder).as_posix() for path in sorted(folder.glob("samples/*.jpg"))
        ],
        "variants": [f'"{sentence}"' for sentence in variants] if variants else [],
        "command": reproduce_command(
            arguments, f"python -m training.publish.optimized_methods {name}"
        ),
        "provenance": _provenance(note, arguments),
        "changed": _changed(config, arguments),
        "citation": bibtex([note.paper] if note.paper else [OURS]),
    }


def _base_facts(folder: Path) -> dict[str, Any]:
    components = read_config(folder)["components"]
    parts = []
    for name, place in sorted(components.items()):
        weights = folder / place / WEIGHTS
        size = f"{weights.stat().st_size / 2**20:.1f}" if weights.is_file() else ""
        parts.append({"name": name, "what": PARTS.get(name, name), "size": size})
    return {
        "base_name": folder.name,
        "parts": parts,
        "method": "clip_regression",
        "command": "python -m training.data.make_world\npython -m training.reproduce",
        "provenance": "Renders the world, then trains whatever is out of date, in order of "
        "dependency. Each folder's `training_args.json` has the exact settings, versions, seed "
        "and commit.",
        "citation": bibtex([OURS]),
    }


def _judges_facts() -> dict[str, Any]:
    return {
        "base_name": "judges",
        "command": "python -m training.reproduce --only judge_attributes judge_identity",
        "provenance": "Each folder's `training_args.json` has the exact settings, versions, seed "
        "and commit.",
        "citation": bibtex([OURS]),
    }


def _front_matter(folder: Path, kind: str, numbers: list[Number], facts: dict[str, Any]) -> str:
    """Return the card's YAML block, `model-index` included where something was measured."""
    from huggingface_hub import EvalResult, ModelCardData

    task = {"method": "image-to-image", "base": "image-to-image"}.get(kind, "image-classification")
    tags = ["face-editing", "text-guided", "portrait-world"]
    extra: dict[str, Any] = {}
    if kind == "method":
        tags += [facts["note"].repo, "stylegan2", "clip"]
        extra = {"base_model": facts["base_id"], "base_model_relation": "adapter"}
    if kind == "judges":
        tags = ["evaluation", "portrait-world"]
    results = [
        EvalResult(
            task_type=task,
            dataset_type=DATASET[0],
            dataset_name=DATASET[1],
            metric_type=number.key,
            metric_name=number.label,
            metric_value=float(number.text),
        )
        for number in numbers
    ]
    data = ModelCardData(
        language="en",
        license="apache-2.0",
        library_name="faceedit",
        pipeline_tag=task,
        tags=tags,
        model_name=folder.name if results else None,
        eval_results=results or None,
        **extra,
    )
    return data.to_yaml()


def _render(kind: str, facts: dict[str, Any]) -> str:
    """Fill a template; templates include each other by file name."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HUB_CARDS / "templates"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # Markdown, not HTML
    )
    text = environment.get_template(f"{kind}.md").render(facts).replace("\\\n", "")
    lines = [line.rstrip() for line in text.splitlines()]
    kept = [a for a, b in zip(lines, ["x", *lines], strict=False) if a or b]  # no two empty lines
    return "\n".join(kept).strip() + "\n"


# ------------------------------------------------------------------------------ commands


# ------------------------------------------------------------------------------ citations
def bibtex(papers: Sequence[Paper]) -> str:
    """Return BibTeX entries."""
    return "\n\n".join(_entry(paper) for paper in papers)


def _entry(paper: Paper) -> str:
    kind, place = {
        "arXiv": ("misc", ""),
        "software": ("software", ""),
        "IJCV": ("article", "journal"),
    }.get(paper.venue, ("inproceedings", "booktitle"))
    fields = [("title", paper.title), ("author", " and ".join(paper.authors))]
    if place:
        fields.append((place, paper.venue))
    fields.append(("year", str(paper.year)))
    if paper.arxiv:
        fields += [("eprint", paper.arxiv), ("archivePrefix", "arXiv")]
    word = "".join(c for c in paper.title.split(":")[0].split()[0].lower() if c.isalnum())
    last = "".join(c for c in paper.authors[0].split()[-1].lower() if c.isalpha())
    body = ",\n".join(f"  {name} = {{{value}}}" for name, value in fields)
    return f"@{kind}{{{last}{paper.year}{word},\n{body}\n}}"


if __name__ == "__main__":
    sys.exit(main())
