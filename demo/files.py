"""Pictures and zips on disk: labelled with what they are, deleted after an hour."""

from __future__ import annotations

import atexit
import json
import logging
import os
import shutil
import tempfile
import threading
import time
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from demo.doors import new_place
from demo.measures import Tile
from demo.settings import KEPT
from faceedit import __version__
from faceedit.photo import provenance
from faceedit.photo.provenance import Provenance

if TYPE_CHECKING:
    from PIL import Image

logger = logging.getLogger(__name__)

PREFIX = "faceedit-results-"


class ResultFiles:
    """A folder of results, inside gradio's cache so that gradio serves them as they are.

    gradio would encode pictures again, and lose what their metadata says.
    """

    def __init__(self, labelled: bool = True, kept: float = KEPT) -> None:
        self.labelled = labelled
        self.kept = kept
        parent = Path(os.environ.get("GRADIO_TEMP_DIR", Path(tempfile.gettempdir()) / "gradio"))
        parent.mkdir(parents=True, exist_ok=True)
        self.folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent.resolve()))
        atexit.register(shutil.rmtree, self.folder, ignore_errors=True)

    def start(self) -> None:
        """Delete old results from now on, in the background; also those of dead processes."""
        threading.Thread(target=self._keep_clean, daemon=True).start()

    def picture(self, image: Image.Image, name: str, note: Provenance) -> str:
        """Save a picture as PNG with its note and return the path."""
        path = self._place() / f"{name}.png"
        provenance.save(image, path, note if self.labelled else None)
        return str(path)

    def zip(
        self, tiles: Sequence[Tile], before: Mapping[str, str], settings: Mapping[str, Any]
    ) -> str:
        """Pack results with settings.json and return the path.

        Args:
            tiles: The results.
            before: Name to path of the pictures that they started from.
            settings: What was asked, for settings.json.
        """
        path = self._place() / "faceedit.zip"
        told = {
            "faceedit": __version__,
            **settings,
            "results": [tile.facts() for tile in tiles],
        }
        with zipfile.ZipFile(path, "w") as packed:  # PNG does not get smaller
            packed.writestr("settings.json", json.dumps(told, indent=1) + "\n")
            for name, picture in before.items():
                packed.write(picture, f"{name}.png")
            for tile in tiles:
                packed.write(tile.face, f"{tile.name}.png")
                if tile.whole != tile.face:
                    packed.write(tile.whole, f"{tile.name}_photo.png")
                if tile.mask is not None:
                    packed.write(tile.mask, f"{tile.name}_mask.png")
        return str(path)

    def sweep(self, now: float | None = None) -> int:
        """Delete results that are old; returns how many folders went."""
        now = time.time() if now is None else now
        gone = 0
        for files in self.folder.parent.glob(f"{PREFIX}*"):
            for place in files.iterdir():
                if now - place.stat().st_mtime > self.kept:
                    shutil.rmtree(place, ignore_errors=True)
                    gone += 1
            if files != self.folder and now - files.stat().st_mtime > 2 * self.kept:
                shutil.rmtree(files, ignore_errors=True)
        return gone

    def _place(self) -> Path:
        """Return a new folder of the visitor for whom the page works."""
        return new_place(self.folder)

    def _keep_clean(self) -> None:
        while True:
            try:
                self.sweep()
            except OSError:
                logger.exception("old results cannot be deleted")
            time.sleep(self.kept / 6)
