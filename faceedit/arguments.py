"""What a caller gives is checked before it is used: a wrong type is told in words, not by a crash.

Whatever is wrong is a `RequestError` that says what was given and what is allowed.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from faceedit.errors import RequestError

if TYPE_CHECKING:
    import torch

SHOWN = 60  # characters of what was given


def shown(value: Any) -> str:
    """Return a value for a message, cut off where it is long."""
    try:
        text = repr(value)
    except Exception:  # a whole number of thousands of digits, or an object that cannot be shown
        return f"a {type(value).__name__} that cannot be shown"
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def whole(value: Any, name: str, low: int, high: int) -> int:
    """Return a whole number within limits; 3.0 and NumPy's numbers count.

    Raises:
        RequestError: If it is none, or outside.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not value // 1 == value:
        raise RequestError(f"{name} is {shown(value)}; it must be a whole number")
    number = int(value)  # type: ignore[call-overload]  # whole, as was checked
    if not low <= number <= high:
        raise RequestError(f"{name} is {shown(value)}; it must lie between {low} and {high}")
    return number


def real(value: Any, name: str, low: float, high: float) -> float:
    """Return a finite number within limits.

    Raises:
        RequestError: If it is none, or outside.
    """
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        raise RequestError(f"{name} is {shown(value)}; it must be a number")
    try:
        number = float(value)
    except (OverflowError, ValueError):
        number = math.inf
    if not low <= number <= high:
        raise RequestError(f"{name} is {shown(value)}; it must lie in [{low:g}, {high:g}]")
    return number


def optional_name(value: Any, name: str) -> str | None:
    """Return a name, or None.

    Raises:
        RequestError: If it is anything else.
    """
    if value is not None and (not isinstance(value, str) or not value.strip()):
        raise RequestError(f"{name} is {shown(value)}; it must be a name, or None")
    return value


def names(values: Any, name: str) -> list[str]:
    """Return several names.

    Raises:
        RequestError: If it is one name alone, or holds anything else.
    """
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise RequestError(f"{name} is {shown(values)}; it must be a list of names")
    listed = list(values)
    for value in listed:
        if not isinstance(value, str):
            raise RequestError(f"{name} holds {shown(value)}; it must be a list of names")
    return listed


def folder(value: Any, name: str) -> Path:
    """Return a path.

    Raises:
        RequestError: If it is none.
    """
    if not isinstance(value, str | Path) or "\0" in str(value) or not str(value).strip():
        raise RequestError(f"{name} is {shown(value)}; it must be the path of a folder")
    try:
        return Path(value).expanduser()
    except RuntimeError:  # there is no such user
        return Path(value)


def device(value: Any) -> torch.device:
    """Return where to compute; it has to be here.

    Raises:
        RequestError: If there is no such device on this machine.
    """
    import torch

    try:
        found = torch.device(value)
        torch.empty(1, device=found)  # the only way to know that it can be used
    except Exception as error:  # torch raises several kinds
        raise RequestError(
            f"device is {shown(value)}, which cannot be used here; use 'cpu', or 'cuda' with a GPU"
        ) from error
    if found.type == "meta":
        raise RequestError("device is 'meta', which computes nothing; use 'cpu'")
    return found
