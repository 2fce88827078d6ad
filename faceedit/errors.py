"""What can go wrong in a way that a caller can mend; every message says how.

Catch `FaceEditError` for all of them. Those that report a bad value are `ValueError`s too, so
code that knows nothing of this package still catches them by the usual name.
"""

LONGEST = 1500  # characters of a message: what was given may be a whole book


class FaceEditError(Exception):
    """Anything that faceedit reports to its user; the middle of a very long message is left out."""

    def __str__(self) -> str:
        text = super().__str__()
        if len(text) <= LONGEST:
            return text
        left_out = f" ... {len(text) - LONGEST:,} more characters ... "
        return f"{text[: LONGEST // 2]}{left_out}{text[-LONGEST // 2 :]}"


class RequestError(FaceEditError, ValueError):
    """A setting of an edit cannot be used: strength, seed, layers, mask, ..."""


class PromptError(RequestError):
    """The sentence cannot be used: empty, too long, not text."""


class PhotoError(FaceEditError, ValueError):
    """The photo cannot be used: not an image, damaged, too large."""


class NoFaceError(PhotoError):
    """No face was found in the photo, or not the one that was asked for."""


class UnknownMethodError(FaceEditError, ValueError):
    """No method has that name."""


class RepoError(FaceEditError, ValueError):
    """A model repo cannot be found or its files cannot be used."""


class MissingBackboneError(FaceEditError, RuntimeError):
    """A method needs a network that was not loaded."""
