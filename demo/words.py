"""Errors and short texts, as people read them."""

from __future__ import annotations

import contextlib
import html
import logging
import re
from collections.abc import Iterator
from typing import Any

import gradio as gr

from faceedit.errors import FaceEditError

logger = logging.getLogger(__name__)

FOLDERS = re.compile(r"(?<![\w:/])/(?:[^\s/'\"]+/)+")  # of paths on the machine: nobody's business
MARKUP = (("[", "&#91;"), ("`", "&#96;"), ("*", "&#42;"), ("://", "&#58;//"))  # links, pictures
# What the package calls its arguments, and what stands on the page.
CONTROLS = {
    "face_index": "the choice of a face below the photo",
    "mask": "'Where may it change?'",
    "strength": "'Strength'",
    "seed": "'Seed'",
    "method": "'Method'",
    "prompt": "'What should change?'",
    "truncation_psi": "the variety",
    "refine_steps": "the refinement",
}
ARGUMENTS = re.compile(
    rf"`({'|'.join(CONTROLS)})`|\b(?=(face_index|refine_steps|truncation_psi)\b)\2"
)
FAULT = "This is a fault of the program, not yours. The log has the details."
QUIET: dict[str, Any] = {"print_exception": False}  # of gr.Error: it is the user's, not ours


@contextlib.contextmanager
def plain_words() -> Iterator[None]:
    """Show an error as a message in the page; a bug is logged and only named there."""
    try:
        yield
    except gr.Error:
        raise
    except FaceEditError as error:
        raise gr.Error(sentence(error), title="That did not work", **QUIET) from None
    except Exception as error:
        logger.exception("an unexpected error")
        raise gr.Error(
            FAULT,
            title="Something broke",
            **QUIET,
        ) from error


def sentence(error: BaseException | str) -> str:
    """Return a message with a capital letter, the page's own names, no folders, HTML, Markdown."""
    words = FOLDERS.sub("", str(error)) or type(error).__name__
    words = ARGUMENTS.sub(lambda found: CONTROLS[found[1] or found[2]], words)
    return escaped(words[0].upper() + words[1:])


def escaped(text: str) -> str:
    """Return text that shows as it is, in HTML and in Markdown: a prompt may hold either."""
    text = html.escape(text, quote=False)
    for mark, shown in MARKUP:
        text = text.replace(mark, shown)
    return text


def need(condition: Any, words: str) -> None:
    """Raise these words as a message to the user unless the condition holds."""
    if not condition:
        raise gr.Error(words, **QUIET)


def seconds(duration: float) -> str:
    """Return a duration as people say it: "0.4 s", "8 s"."""
    return f"{duration:.1f} s" if duration < 9.95 else f"{duration:.0f} s"
