"""What the operator of the page can switch, by environment variables. Nothing is off silently."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from faceedit.photo import provenance

logger = logging.getLogger(__name__)

CONSENT_SWITCH = "FACEEDIT_CONSENT_NOTICE"
CONSENT = """**Consent.** Use pictures of yourself or of people who have agreed, and do not pass an
edited picture off as a real one. Pictures stay on the machine that runs this page and are deleted
from it within two hours; nothing is collected."""
LABELLED = "Saved pictures say in their metadata that networks changed them, and which ones."


KEPT = 3600  # seconds; the notice on consent promises that it is no longer


def _kept(text: str) -> int:
    """Return the seconds that a variable says, within limits."""
    if not text.strip().isdecimal():
        if text:
            logger.warning("FACEEDIT_KEPT is %r; a number of seconds is meant", text)
        return KEPT
    return min(max(int(text), 60), KEPT)


def draws_the_world(repo: str) -> bool:
    """Whether a base draws the portrait world, as its folder says; repos elsewhere are taken to."""
    try:
        config = json.loads((Path(repo).expanduser() / "config.json").read_text("utf-8"))
    except (OSError, ValueError, RuntimeError):
        return True
    return not isinstance(config, dict) or config.get("framing") != "ffhq"


@dataclass(frozen=True)
class Settings:
    """How the page is run.

    Attributes:
        repo: The base repo or folder (FACEEDIT_REPO).
        consent: Whether the notice on consent is shown (FACEEDIT_CONSENT_NOTICE).
        labelled: Whether saved pictures say what they are (FACEEDIT_PROVENANCE).
        device: Where to compute (FACEEDIT_DEVICE): "cpu", "cuda", or "auto".
        kept: Seconds after which uploads and results are deleted (FACEEDIT_KEPT), 60 to 3600.
    """

    repo: str = "faceedit/portraits-128"
    consent: bool = True
    labelled: bool = True
    device: str = "auto"
    kept: int = KEPT

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """Read the settings, and warn of each notice that is switched off."""
        given = os.environ if environment is None else environment
        settings = cls(
            repo=given.get("FACEEDIT_REPO", cls.repo),
            consent=given.get(CONSENT_SWITCH, "on").strip().lower() not in provenance.OFF,
            labelled=provenance.switched_on(given),
            device=given.get("FACEEDIT_DEVICE", cls.device),
            kept=_kept(given.get("FACEEDIT_KEPT", "")),
        )
        if not settings.consent:
            logger.warning("%s is off: the page shows no notice on consent", CONSENT_SWITCH)
        if not settings.labelled:
            logger.warning("%s is off: saved pictures do not say what they are", provenance.SWITCH)
        return settings

    @property
    def world(self) -> bool:
        """Whether the base draws the portrait world; False for bases of photographs."""
        return draws_the_world(self.repo)

    @property
    def notice(self) -> str:
        """What the page says on consent and on labels; "" if both are switched off."""
        return "\n".join([CONSENT] * self.consent + [LABELLED] * self.labelled)
