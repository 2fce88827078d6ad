"""The networks, loaded once and in the background, so that the page opens at once."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

try:  # on ZeroGPU; `spaces` must come before PyTorch
    from spaces import GPU
except ImportError:

    def GPU(function: Callable[..., Any] | None = None, **_: Any) -> Any:  # noqa: N802
        """Do nothing: there is no ZeroGPU here. Works as @GPU and as @GPU(duration=...)."""
        return function if function is not None else lambda decorated: decorated


from demo.turns import Turns, patient

if TYPE_CHECKING:
    from faceedit import FaceEditor

logger = logging.getLogger(__name__)

__all__ = ["GPU", "Loader"]


class Loader:
    """The editor, loaded once, in the background; a failed load is tried again when asked for.

    Args:
        repo: What to load.
        device: "cpu", "cuda" or "auto".
        warm_up: Called with the editor once it is there; visitors need not wait for it.
    """

    def __init__(
        self,
        repo: str,
        device: str = "cpu",
        warm_up: Callable[[FaceEditor], None] | None = None,
    ) -> None:
        self.repo = repo
        self.device = device
        self.warm_up = warm_up
        self._lock = threading.Lock()
        self._editor: Future[FaceEditor] | None = None
        self.turns = Turns()

    def start(self) -> Future[FaceEditor]:
        """Begin to load, unless that is under way or done."""
        with self._lock:
            failed = self._editor and self._editor.done() and self._editor.exception()
            if self._editor is None or failed:
                self._editor = Future()
                threading.Thread(target=self._load, args=(self._editor,), daemon=True).start()
            return self._editor

    def get(self) -> FaceEditor:
        """Return the editor; waits while it loads."""
        return self.start().result()

    def _load(self, editor: Future[FaceEditor]) -> None:
        try:
            from faceedit import FaceEditor  # loads PyTorch

            loaded = patient(FaceEditor.from_pretrained(self.repo, **self._where()), self.turns)
        except BaseException as error:  # handed to whoever asks for the editor
            editor.set_exception(error)
            return
        editor.set_result(loaded)
        if self.warm_up is not None:
            try:
                self.warm_up(loaded)
            except Exception:  # a visitor's own edit will tell what is wrong
                logger.exception("the warm-up failed")

    def _where(self) -> dict[str, str]:
        """Return the device as an argument of `from_pretrained`."""
        if self.device != "auto":
            return {"device": self.device}
        import torch

        return {"device": "cuda" if torch.cuda.is_available() else "cpu"}
