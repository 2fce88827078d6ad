"""Ways to damage bytes, JSON, pickles, sentences and arguments; all draw from a given generator."""

from __future__ import annotations

import copy
import math
import pickle
import pickletools
import random
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import torch

NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 2**63 - 1, 2**64 - 1)
ODD_JSON: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 3, 7, 10**6, 10**9, 2**63, 10**400, 1.5, -0.0, 1e300, math.nan),
    *(math.inf, "", "x", "../..", "/etc/passwd", "\0", "\ud800", "a" * 5000, [], {}, [[]], [1, 2]),
    *([None], {"a": {"b": {"c": {}}}}, [0] * 3000, ["x"] * 5, "float32", "cuda", "sha256:0"),
)
ODD: tuple[Any, ...] = (
    *(*ODD_JSON, b"x", (), (1,), (3, 1), (0, 10**9), object(), 3 + 4j, Fraction(10**400), range(3)),
    *(np.zeros(3), np.zeros((64, 64, 3), np.uint8), np.float64("nan"), np.int8(-1), torch.zeros(2)),
    *("~nobody-there/x", "sample:7", "hair", "hair+", "+", "/dev/zero", torch.float16, lambda: 0),
)
LETTERS = (
    *"abcdefghij .,;:!?'\"-+*/\\()[]{}<>&#@%$^_=|~`\n\t\0\r",
    *(
        "ä",
        "ß",
        "日",
        "本",
        "🙂",
        "👩‍👩‍👧",
        "\u202e",
        "\u200b",
        "\ufeff",
        "\ud800",
        "\udfff",
        "ﬁ",
        "İ",
        "e\u0301",
    ),
    *(
        " and ",
        " but not ",
        " without ",
        "red hair",
        "a smiling woman",
        "very ",
        "no ",
        "<b>",
        "![](",
    ),
)


def damaged(data: bytes, draws: random.Random, others: Sequence[bytes] = ()) -> bytes:
    """Return bytes that were changed in one to eight places."""
    out = bytearray(data)
    for _ in range(draws.choice((1, 1, 1, 2, 3, 8))):
        _damage(out, draws, others)
    return bytes(out)


def _damage(out: bytearray, draws: random.Random, others: Sequence[bytes]) -> None:
    # Headers lie at the beginning, so half of all changes are made there.
    reach = len(out) if draws.random() < 0.5 else min(len(out), 200)
    at = draws.randrange(reach) if reach else 0
    size = draws.choice((1, 2, 4, 8, 60, 1000))
    kind = draws.randrange(9)
    if kind == 0 and out:
        out[at] ^= 1 << draws.randrange(8)
    elif kind == 1 and out:
        out[at] = draws.randrange(256)
    elif kind == 2:
        width = draws.choice((1, 2, 4, 8))
        number = draws.choice(NUMBERS) & (256**width - 1)
        out[at : at + width] = number.to_bytes(width, draws.choice(("big", "little")))
    elif kind == 3:
        del out[at:]
    elif kind == 4:
        del out[at : at + size]
    elif kind == 5:
        out[at:at] = out[at : at + size] * draws.choice((1, 2, 50))
    elif kind == 6:
        out[at:at] = draws.randbytes(size)
    elif kind == 7 and others:
        other = draws.choice(others)
        start = draws.randrange(len(other) or 1)
        out[at : at + size] = other[start : start + size]
    else:
        out[at : at + size] = bytes(size)


def damaged_tree(tree: Any, draws: random.Random) -> Any:
    """Return JSON in which one to three values were replaced, removed, renamed or added."""
    tree = copy.deepcopy(tree)
    for _ in range(draws.choice((1, 1, 2, 3))):
        places = list(_places(tree))
        if not places:
            return odd_json(draws)
        holder, key = draws.choice(places)
        kind = draws.randrange(6)
        if kind == 0:
            del holder[key]
        elif kind == 1 and isinstance(holder, dict):
            holder[draws.choice(("x", "", key + "s", "__class__"))] = holder.pop(key)
        elif kind == 2 and isinstance(holder[key], int) and not isinstance(holder[key], bool):
            holder[key] = draws.choice((-1, 0, 1, 2)) * (holder[key] or 1) ** draws.choice(
                (1, 2, 5)
            )
        else:
            holder[key] = odd_json(draws)
    return tree


def odd_json(draws: random.Random) -> Any:
    """Return a value of its own: later damage to it must not reach the next input."""
    return copy.deepcopy(draws.choice(ODD_JSON))


def _places(tree: Any) -> Any:
    """Yield every (container, key) of a tree."""
    keys = (
        list(tree) if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ()
    )
    for key in keys:
        yield tree, key
        yield from _places(tree[key])


CODES = [op.code.encode("latin1") for op in pickletools.opcodes]
GLOBALS = (
    *(
        b"collections\nOrderedDict",
        b"numpy\ndtype",
        b"torch._utils\n_rebuild_tensor_v2",
        b"builtins\nset",
    ),
    *(
        b"torch\nFloatStorage",
        b"numpy.core.multiarray\n_reconstruct",
        b"_codecs\nencode",
        b"os\nsystem",
    ),
    *(
        b"torch\nSize",
        b"argparse\nNamespace",
        b"torch.storage\n_load_from_bytes",
        b"builtins\neval",
    ),
    *(
        b"torch_utils.persistence\n_reconstruct_persistent_obj",
        b"torch.nn.modules.a\nB",
        b"a.b\nc.d",
    ),
)


def random_pickle(draws: random.Random) -> bytes:
    """Return a pickle of steps that mostly fit one another, with doubled and called values."""
    out = bytearray(b"\x80\x04N")
    for _ in range(draws.choice((3, 10, 40, 200))):
        kind = draws.randrange(10)
        if kind < 3:
            out += draws.choice(
                (b"N", b"K\x05", b"X\x01\0\0\0a", b"]", b"}", b")", b"\x8f", b"G" + bytes(8))
            )
        elif kind == 3:
            out += b"c" + draws.choice(GLOBALS) + b"\n"
        elif kind == 4:
            out += draws.choice((b"q\0h\0\x86", b"q\0h\0h\0\x87", b"\x94h\0\x86")) * draws.choice(
                (1, 60)
            )
        elif kind == 5:
            out += draws.choice((b"R", b"\x81", b"b", b"\x92", b"o", b"Q"))
        elif kind == 6:
            out += draws.choice(
                (b"(", b"t", b"l", b"d", b"\x91", b"u", b"e", b"\x90", b"0", b"1", b"2")
            )
        elif kind == 7:
            out += draws.choice((b"\x85", b"\x86", b"\x87", b"a", b"Ns", b"s"))
        elif kind == 8:
            out += (
                draws.choice((b"r", b"j", b"B", b"X", b"T", b"\x8b"))
                + draws.choice(NUMBERS).to_bytes(8, "little")[:4]
            )
        else:
            out += draws.choice(CODES)
    return bytes(out) + b"."


def doubled_key(draws: random.Random) -> bytes:
    """Return a pickle of a sound dictionary with something in it that was not made to be a key."""
    bomb = b"N" + b"q\0h\0\x86" * draws.randrange(1, 80)
    return b"\x80\x04}X\x01\0\0\0a" + pickle.dumps({"w": 1}, 2)[2:-1] + b"s" + bomb + b"Ns."


def sentence(draws: random.Random) -> str:
    """Return a sentence of letters and words that parsers stumble over."""
    return "".join(draws.choices(LETTERS, k=draws.choice((0, 1, 3, 8, 30, 200, 2000))))
