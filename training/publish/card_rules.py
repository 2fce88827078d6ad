"""What a card must hold, checked without a network: the Hub's own check needs one.

A card that shows a number which the benchmark's JSON does not hold breaks a rule, and
`training.publish.repos` refuses to push it.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

from faceedit.hub import CONFIG, read_config
from training.publish.card_numbers import numbers_of

__all__ = ["check_card", "check_space", "python_blocks"]

LICENSES = ("apache-2.0", "mit")
REPO_ID = re.compile(r"[\w.-]+/[\w.-]+")
SECTIONS = (
    "How to use",
    "Intended use",
    "Out of scope",
    "Consent and misuse",
    "Training data",
    "How to reproduce",
    "Results",
    "Limits and biases",
    "Licence and citation",
)
COLORS = ("red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray")
ROW = re.compile(r"^\| (?P<label>.+?) \| (?P<value>[^|]*) \| (?P<aside>[^|]*) \|$", re.MULTILINE)


def check_card(folder: Path, hub_cards: Path) -> list[str]:
    """Return the rules that a model card breaks, in words; [] if it is as it should be."""
    from huggingface_hub import ModelCard

    path = folder / "README.md"
    if not path.is_file():
        return ["there is no README.md"]
    text = path.read_text(encoding="utf-8")
    try:
        card = ModelCard(text)
    except (ValueError, TypeError) as error:  # also YAML's errors, which the library wraps
        return [f"the front matter cannot be read: {error}"]
    facts = card.data.to_dict()
    problems = []
    if ModelCard(str(card)).data.to_dict() != facts:
        problems.append("the front matter is not the same after reading and writing it")
    problems += _front_matter(facts, folder)
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    problems += [f"the section '{name}' is missing" for name in SECTIONS if name not in headings]
    problems += _broken_python(text)
    problems += _missing_files(text, folder)
    return problems + _numbers(facts, text, folder, hub_cards)


def _front_matter(facts: dict[str, Any], folder: Path) -> list[str]:
    problems = []
    if facts.get("license") not in LICENSES:
        problems.append(f"license is {facts.get('license')!r}; it must be one of {LICENSES}")
    if facts.get("library_name") != "faceedit":
        problems.append("library_name must be faceedit")
    if not (folder / CONFIG).is_file():
        return problems
    config = read_config(folder)
    if facts.get("pipeline_tag") != "image-to-image":
        problems.append("pipeline_tag must be image-to-image")
    if config.get("kind") == "base":
        return problems
    base = facts.get("base_model")
    if not isinstance(base, str) or not REPO_ID.fullmatch(base):
        problems.append(f"base_model is {base!r}, which is not a repo id")
    elif base != config.get("base_model_name_or_path"):
        problems.append(f"base_model is {base}; {CONFIG} names another one")
    return problems


def python_blocks(text: str) -> list[str]:
    """Return the Python of a card, block by block."""
    return re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def _broken_python(text: str) -> list[str]:
    problems = []
    for block in python_blocks(text):
        try:
            ast.parse(block)
        except SyntaxError as error:
            problems.append(f"a Python block does not parse: {error}")
    return problems


def _missing_files(text: str, folder: Path) -> list[str]:
    pictures = re.findall(r"!\[[^\]]*\]\(([^):]+)\)", text)
    return [f"{name} is shown and absent" for name in pictures if not (folder / name).is_file()]


def _numbers(facts: dict[str, Any], text: str, folder: Path, hub_cards: Path) -> list[str]:
    """Compare the benchmark's JSON, the `model-index` and the table in the text."""
    measured = {number.key: number for number in numbers_of(folder, hub_cards)}
    index = {
        metric["type"]: metric
        for model in facts.get("model-index") or []
        for result in model.get("results", [])
        for metric in result.get("metrics", [])
    }
    problems = []
    for key, metric in index.items():
        if key not in measured:
            problems.append(f"'{key}' in model-index is not in the benchmark's JSON")
        elif float(measured[key].text) != metric["value"]:
            given, true = metric["value"], measured[key].text
            problems.append(f"'{key}' is {given} in model-index and {true} in the JSON")
    named = {metric.get("name", key): (key, metric["value"]) for key, metric in index.items()}
    results = text.partition("\n## Results\n")[2].partition("\n## ")[0]
    rows = [row for row in ROW.finditer(results) if _is_number(row["value"])]
    for row in rows:
        label, value = row["label"], row["value"]
        if label not in named:
            problems.append(f"'{label}' is in the table and not in model-index")
            continue
        key, metric_value = named[label]
        if float(value) != metric_value:
            problems.append(f"'{label}' is {value} in the table, {metric_value} in model-index")
        if key in measured and row["aside"].strip() != measured[key].aside:
            aside = measured[key].aside or "nothing"
            problems.append(f"beside '{label}' stands {row['aside']}, and {aside} in the JSON")
    missing = set(named) - {row["label"] for row in rows}
    return problems + [f"'{label}' is in model-index and not in the table" for label in missing]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def check_space(readme: Path) -> list[str]:
    """Return the rules that a Space's card breaks: what its front matter asks for must be there."""
    import gradio
    from huggingface_hub import SpaceCard

    try:
        facts = SpaceCard(readme.read_text(encoding="utf-8")).data.to_dict()
    except (OSError, ValueError, TypeError) as error:
        return [f"the front matter cannot be read: {error}"]
    rules = {
        "sdk must be gradio": facts.get("sdk") == "gradio",
        f"sdk_version must be {gradio.__version__}": facts.get("sdk_version") == gradio.__version__,
        'python_version must be "3.11"': facts.get("python_version") == "3.11",
        "app_file must exist": (readme.parent / str(facts.get("app_file"))).is_file(),
        "license must be a known one": facts.get("license") in LICENSES,
        "short_description must have 1 to 60 characters": 0
        < len(str(facts.get("short_description") or ""))
        <= 60,
        "colorFrom and colorTo must be the Hub's colours": facts.get("colorFrom") in COLORS
        and facts.get("colorTo") in COLORS,
        "emoji must be one character": len(str(facts.get("emoji") or "")) in (1, 2),
        "models must be repo ids": all(REPO_ID.fullmatch(str(m)) for m in facts.get("models", [])),
    }
    return [rule for rule, kept in rules.items() if not kept]
