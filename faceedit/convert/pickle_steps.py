"""What each step of a pickle does to the machine that reads it, see `pickles`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from faceedit.convert.budget import UnsafeFileError
from faceedit.convert.stand_ins import checked_key

if TYPE_CHECKING:
    from faceedit.convert.pickles import Machine


def _object(machine: Machine, keywords: bool = False) -> None:
    """Make an object of a class from its arguments; those with names are left out."""
    if keywords:
        machine.pop()
    args, kind = machine.pop(), machine.pop()
    if not isinstance(kind, type):
        raise UnsafeFileError("it makes an object of what is not a class")
    machine.make(kind, args)


def _call(machine: Machine) -> None:
    args = machine.pop()
    machine.make(machine.pop(), args)


def _instance(machine: Machine, name: str) -> None:
    """Make an object of a named class, in the way of the oldest protocols."""
    args = tuple(machine.since_mark())
    machine.name(*name.split(" ", 1))
    machine.make(machine.pop(), args)


def _marked_object(machine: Machine) -> None:
    kind, *args = machine.since_mark()
    machine.make(kind, tuple(args))


def _tuple(machine: Machine, count: int) -> None:
    values = [machine.pop() for _ in range(count)]
    machine.push(tuple(reversed(values)))


def _named_on_stack(machine: Machine) -> None:
    name = machine.pop()
    machine.name(machine.pop(), name)


def _last(machine: Machine, put: Callable[[list[Any]], None], count: int) -> None:
    """Put the last values of the stack into what lies below them."""
    values = [machine.pop() for _ in range(count)]
    put(values[::-1])


def _dictionary(machine: Machine) -> None:
    values = machine.since_mark()
    machine.push({})
    machine.set_items(values)


_Act = Callable[["Machine", Any], None]
VALUES = {  # steps that put their argument on the stack
    *("INT", "LONG", "FLOAT", "BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE"),
    *("BINUNICODE8", "SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "BYTEARRAY8"),
}
ACTS: dict[str, _Act] = {
    "NONE": lambda m, _: m.push(None),
    "NEWTRUE": lambda m, _: m.push(True),
    "NEWFALSE": lambda m, _: m.push(False),
    "EMPTY_LIST": lambda m, _: m.push([]),
    "EMPTY_TUPLE": lambda m, _: m.push(()),
    "EMPTY_DICT": lambda m, _: m.push({}),
    "EMPTY_SET": lambda m, _: m.push(set()),
    "LIST": lambda m, _: m.push(m.since_mark()),
    "TUPLE": lambda m, _: m.push(tuple(m.since_mark())),
    "TUPLE1": lambda m, _: _tuple(m, 1),
    "TUPLE2": lambda m, _: _tuple(m, 2),
    "TUPLE3": lambda m, _: _tuple(m, 3),
    "DICT": lambda m, _: _dictionary(m),
    "FROZENSET": lambda m, _: m.push(frozenset(map(checked_key, m.since_mark()))),
    "APPEND": lambda m, _: _last(m, m.extend, 1),
    "APPENDS": lambda m, _: m.extend(m.since_mark()),
    "SETITEM": lambda m, _: _last(m, m.set_items, 2),
    "SETITEMS": lambda m, _: m.set_items(m.since_mark()),
    "ADDITEMS": lambda m, _: m.add_items(m.since_mark()),
    "POP": lambda m, _: m.drop(),
    "DUP": lambda m, _: m.push(m.top()),
    "MARK": lambda m, _: m.mark(),
    "POP_MARK": lambda m, _: m.since_mark().clear(),
    **{name: lambda m, place: m.recall(place) for name in ("GET", "BINGET", "LONG_BINGET")},
    **{name: lambda m, place: m.remember(place) for name in ("PUT", "BINPUT", "LONG_BINPUT")},
    "MEMOIZE": lambda m, _: m.remember(),
    "GLOBAL": lambda m, name: m.name(*name.split(" ", 1)),
    "STACK_GLOBAL": lambda m, _: _named_on_stack(m),
    "REDUCE": lambda m, _: _call(m),
    "BUILD": lambda m, _: m.build(),
    "INST": _instance,
    "OBJ": lambda m, _: _marked_object(m),
    "NEWOBJ": lambda m, _: _object(m),
    "NEWOBJ_EX": lambda m, _: _object(m, keywords=True),
    "PERSID": lambda m, pid: m.persistent(pid),
    "BINPERSID": lambda m, _: m.persistent(m.pop()),
}
