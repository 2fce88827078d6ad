"""A pickle is read here without running any of it, step by step, by a machine of our own.

A pickle is a program: its steps put values on a stack, and some call whatever function they name.
Python's own unpickler imports those names. It also hashes and prints what a file tells it to, which
a few hundred bytes can make endless. Here each step is decoded by `pickletools`, which runs
nothing, and done by the machine below: names become stand-ins (`stand_ins`), keys are looked at
before they are hashed, and all work is paid for out of a `Budget`.
"""

from __future__ import annotations

import io
import os
import pickletools
from typing import Any, BinaryIO

import torch
from torch import Tensor

from faceedit.convert.budget import Budget, FileError, UnsafeFileError
from faceedit.convert.pickle_steps import ACTS, VALUES
from faceedit.convert.stand_ins import (
    LOAD_FROM_BYTES,
    MAX_NAME,
    MAX_NAMES,
    Array,
    Call,
    DefaultDictionary,
    Dictionary,
    Inert,
    Kind,
    Storage,
    Storages,
    Token,
    checked_key,
    current_name,
    stand_in,
)

__all__ = ["MAGIC", "read_legacy", "unpickle"]

MAGIC = 0x1950A86A20F9469CFC6C  # with which torch.save's old format begins
MAX_NESTING = 4  # of pickles inside pickles
MAX_LINE = 65_536  # bytes of an argument that is written as text


class _Bounded:
    """A file that never gives more than it has, whatever length a pickle claims."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._left = file, size

    def read(self, count: int) -> bytes:
        """Return at most `count` bytes."""
        raw = self._file.read(min(count, self._left))
        self._left -= len(raw)
        return raw

    def readline(self) -> bytes:
        """Return a line, or the beginning of one that is too long."""
        raw = self._file.readline(min(MAX_LINE, self._left))
        self._left -= len(raw)
        return raw


class Machine:
    """The stack, the marks and the memo of a pickle that is being read."""

    def __init__(self, storages: Storages | None, budget: Budget, nesting: int) -> None:
        self._storages, self._budget, self._nesting = storages, budget, nesting
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}
        self._names: dict[str, Any] = {}
        self._steps = 0

    def run(self, file: _Bounded) -> Any:
        """Do every step and return the value that is left."""
        for opcode, argument, _ in pickletools.genops(file):  # type: ignore[arg-type]
            self._budget.step()
            self._steps += 1
            act = ACTS.get(opcode.name)
            if act is not None:
                act(self, argument)
            elif opcode.name in VALUES:
                self._stack.append(argument)
            elif opcode.name not in ("PROTO", "FRAME", "STOP"):
                raise UnsafeFileError(f"it uses {opcode.name}, which no model file needs")
        return self.pop()

    # The stack ------------------------------------------------------------------------------------

    def push(self, value: Any) -> None:
        """Put a value on the stack."""
        self._stack.append(value)

    def pop(self) -> Any:
        """Take the last value, which must have come after the last mark."""
        if len(self._stack) <= (self._marks[-1] if self._marks else 0):
            raise FileError("it is damaged: a value is missing")
        return self._stack.pop()

    def top(self) -> Any:
        """Return the last value and leave it."""
        value = self.pop()
        self._stack.append(value)
        return value

    def mark(self) -> None:
        """Remember this height."""
        self._marks.append(len(self._stack))

    def since_mark(self) -> list[Any]:
        """Take all values since the last mark."""
        if not self._marks:
            raise FileError("it is damaged: a mark is missing")
        start = self._marks.pop()
        values = self._stack[start:]
        del self._stack[start:]
        return values

    def drop(self) -> None:
        """Take the last value, or the mark if it is the last."""
        if self._marks and self._marks[-1] == len(self._stack):
            self._marks.pop()
        else:
            self.pop()

    def remember(self, place: Any = None) -> None:
        """Note the last value under a number, of which no pickle has more than steps."""
        place = len(self._memo) if place is None else int(place)
        if not 0 <= place <= self._steps:
            raise FileError("it asks for more memory than it can need")
        self._memo[place] = self.top()

    def recall(self, place: Any) -> None:
        """Put a noted value on the stack."""
        if int(place) not in self._memo:
            raise FileError("it is damaged: it uses a value that it has not")
        self._stack.append(self._memo[int(place)])

    # Containers -----------------------------------------------------------------------------------

    def extend(self, values: list[Any]) -> None:
        """Append values to the list, or the inert container, below them."""
        target = self.top()
        if isinstance(target, list):
            target.extend(values)
        elif isinstance(target, Inert):
            target.items |= {len(target.items) + place: v for place, v in enumerate(values)}
        else:
            raise FileError(f"it appends to a {type(target).__name__}")

    def set_items(self, values: list[Any]) -> None:
        """Put keys and values into the dictionary below them."""
        target = self.top()
        items = target.items if isinstance(target, Inert) else target
        if not isinstance(items, dict) or len(values) % 2:
            raise FileError(f"it puts keys into a {type(target).__name__}")
        for place in range(0, len(values), 2):
            items[checked_key(values[place])] = values[place + 1]

    def add_items(self, values: list[Any]) -> None:
        """Put members into the set below them."""
        target = self.top()
        if not isinstance(target, set):
            raise FileError(f"it adds to a {type(target).__name__}")
        target.update(checked_key(value) for value in values)

    # Names and objects ----------------------------------------------------------------------------

    def name(self, module: Any, name: Any) -> None:
        """Put the stand-in of a name on the stack."""
        if not isinstance(module, str) or not isinstance(name, str):
            raise FileError("it is damaged: a name is not a text")
        whole = current_name(f"{module}.{name}")
        if whole not in self._names:
            if len(whole) > MAX_NAME or len(self._names) >= MAX_NAMES:
                raise FileError("it asks for more names than any model file")
            self._names[whole] = self._stand_in(whole)
        self._stack.append(self._names[whole])

    def _stand_in(self, name: str) -> Any:
        if name == LOAD_FROM_BYTES:
            return Call(lambda raw: _from_bytes(raw, self._budget, self._nesting + 1), self._budget)
        return stand_in(name, self._budget)

    def make(self, function: Any, args: Any) -> None:
        """Put on the stack what a call comes to."""
        if not isinstance(args, tuple):
            raise FileError("it is damaged: a call has no arguments")
        if isinstance(function, Call):
            made = function(*args)
        elif not isinstance(function, type):
            raise UnsafeFileError("it calls what is not a function")
        elif issubclass(function, Dictionary):
            made = function()
            pairs = args[0] if args and not issubclass(function, DefaultDictionary) else ()
            for key, value in pairs.items() if isinstance(pairs, dict) else pairs:
                self._budget.step()
                made[checked_key(key)] = value
        else:
            made = function(*args)  # an Inert or a Kind
        self._stack.append(made)

    def build(self) -> None:
        """Give the object below the state that lies on it."""
        state, target = self.pop(), self.top()
        if isinstance(target, Inert):
            target.state = state
        elif isinstance(target, Array | Kind):
            self._budget.copy(state if isinstance(state, tuple) else ())
            target.set_state(state)
        elif not isinstance(target, Dictionary):
            raise UnsafeFileError(f"it tries to change a {type(target).__name__}")

    def persistent(self, pid: Any) -> None:
        """Put the storage on the stack that a tensor of PyTorch points to."""
        if self._storages is None or not isinstance(pid, tuple) or len(pid) < 5:
            raise FileError("it points to data outside of itself")
        tag, kind, key, _, numel, *view = pid
        known = tag == "storage" if isinstance(tag, str) else False
        if not known or not isinstance(kind, Token) or kind.value is None:
            raise FileError("it points to data of an unknown kind")
        if not isinstance(key, str | int) or not isinstance(numel, int):
            raise FileError("it points to data by what is not a name")
        place = view[0] if view else None
        self._stack.append(Storage(self._storages.find(str(key), kind.value, numel, place)))


def _from_bytes(raw: Any, budget: Budget, nesting: int) -> Any:
    """Read a storage that was saved inside a pickle by `torch.save`, under the same rules."""
    if nesting > MAX_NESTING or not isinstance(raw, bytes):
        raise FileError("pickles are nested too deeply in it")
    file = io.BytesIO(raw)
    first = unpickle(file, budget, nesting=nesting)
    if not isinstance(first, int) or first != MAGIC:
        raise FileError("it holds a storage that PyTorch did not write")
    return read_legacy(file, budget, nesting)


def _left(file: BinaryIO) -> int:
    """Return how many bytes of a file are left."""
    place = file.tell()
    end = file.seek(0, os.SEEK_END)
    file.seek(place)
    return end - place


def unpickle(
    file: BinaryIO,
    budget: Budget | None = None,
    storages: Storages | None = None,
    nesting: int = 0,
) -> Any:
    """Read the next pickle of a file; the file's place moves behind it.

    Stand-ins are left in it, see `faceedit.convert.plain`.

    Args:
        file: Can be sought in.
        budget: What it may cost; by default what a file of its size may.
        storages: Where the numbers of its tensors are.
        nesting: How many pickles it lies in.

    Raises:
        UnsafeFileError: If it asks for anything but data.
        FileError: If it is damaged, or costs too much.
    """
    size = _left(file)
    try:
        machine = Machine(storages, budget or Budget(size), nesting)
        return machine.run(_Bounded(file, size))
    except FileError:
        raise
    except (MemoryError, RecursionError, OverflowError) as error:
        raise FileError(f"it asks for too much ({type(error).__name__})") from error
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise FileError(f"it is damaged or cut short ({error})") from error


class _Following:
    """The storages that follow a pickle in the old format of `torch.save`."""

    def __init__(self, size: int) -> None:
        self._left = size  # bytes that they can have together
        self._roots: dict[str, Tensor] = {}

    def find(self, key: str, dtype: torch.dtype, numel: int, view: Any) -> Tensor:
        """Set memory aside for a storage, at most as much as the file is long."""
        if key not in self._roots:
            self._left -= numel * dtype.itemsize
            if numel < 0 or self._left < 0:
                raise FileError("it is cut short")
            self._roots[key] = torch.zeros(numel, dtype=dtype)
        root = self._roots[key]
        if view is None:
            return root
        _, start, length = view
        if not isinstance(start, int) or not isinstance(length, int) or min(start, length) < 0:
            raise FileError("it holds a part of a storage that cannot be")
        return root[start : start + length]

    def fill(self, key: str, file: BinaryIO) -> None:
        """Read the numbers of a storage: how many there are, then the numbers."""
        if key not in self._roots:
            raise FileError("it holds a storage that no tensor uses")
        root = self._roots[key]
        count = int.from_bytes(file.read(8), "little")
        raw = bytearray(file.read(root.numel() * root.element_size()))
        if count != root.numel() or len(raw) != root.numel() * root.element_size():
            raise FileError("it is cut short")
        if count:
            root.copy_(torch.frombuffer(raw, dtype=root.dtype))


def read_legacy(file: BinaryIO, budget: Budget, nesting: int = 0) -> Any:
    """Read what follows `MAGIC` in a file of torch.save's old format, before PyTorch 1.6.

    Raises:
        UnsafeFileError: If it asks for anything but data.
        FileError: If it is damaged.
    """
    unpickle(file, budget, nesting=nesting)  # the version of the protocol
    facts = unpickle(file, budget, nesting=nesting)
    if not isinstance(facts, dict) or facts.get("little_endian", True) is not True:
        raise FileError("it was written by a machine with another byte order")
    storages = _Following(_left(file))
    value = unpickle(file, budget, storages, nesting)
    keys = unpickle(file, budget, nesting=nesting)
    if not isinstance(keys, list) or not all(isinstance(key, str | int) for key in keys):
        raise FileError("it does not say which storages follow")
    for key in keys:
        storages.fill(str(key), file)
    return value
