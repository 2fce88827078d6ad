"""CLIP's tokenizer: sentences to numbers by byte pairs, on the `tokenizers` library.

Its two files are those of `transformers.CLIPTokenizer`, which reads and writes them too; importing
that class alone takes longer than an edit.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from faceedit.errors import RepoError
from faceedit.hub.checks import read_json, told
from faceedit.regular_files import MAX_TEXT, read_regular

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import CLIPTokenizer

__all__ = ["START", "TOKENIZER", "ClipTokenizer", "build_tokenizer"]

START, END = "<|startoftext|>", "<|endoftext|>"
TOKENIZER = "tokenizer.json"
SETTINGS = "tokenizer_config.json"
# How the official tokenizer parts a sentence: special tokens, contractions, words, digits, signs.
PARTS = (
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
)


class ClipTokenizer:
    """A vocabulary, and how to spell sentences in it.

    Attributes:
        backend: The `tokenizers.Tokenizer`.
        context_length: Tokens a sentence can have, the start and the end included.
    """

    def __init__(self, backend: Tokenizer, context_length: int) -> None:
        self.backend = backend
        self.backend.encode_special_tokens = True  # a typed "<|endoftext|>" is text, not the end
        self.context_length = context_length

    def __len__(self) -> int:
        return int(self.backend.get_vocab_size())

    @property
    def start_token(self) -> int:
        """The number of the token that opens every sentence."""
        return self._number(START)

    @property
    def end_token(self) -> int:
        """The number of the token that closes every sentence."""
        return self._number(END)

    def _number(self, token: str) -> int:
        number = self.backend.token_to_id(token)
        assert number is not None, f"the vocabulary has no {token}"
        return int(number)

    def encode(self, sentences: Sequence[str]) -> list[list[int]]:
        """Return the tokens of each sentence, without start and end."""
        encoded = self.backend.encode_batch(list(sentences), add_special_tokens=False)
        return [list(one.ids) for one in encoded]

    def has_word(self, word: str) -> bool:
        """Whether a word, in small letters, is one token: others are spelt in pieces."""
        return self.backend.token_to_id(f"{word}</w>") is not None

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text that tokens spell."""
        return str(self.backend.decode(list(tokens))).replace("</w>", " ").strip()

    @classmethod
    def from_folder(cls, folder: Path) -> ClipTokenizer:
        """Read the tokenizer of a CLIP's folder.

        Raises:
            RepoError: If it is missing or damaged.
        """
        from tokenizers import Tokenizer

        path = folder / TOKENIZER
        try:
            backend = Tokenizer.from_str(read_regular(path, MAX_TEXT).decode("utf-8"))
            length = int(read_json(folder / SETTINGS)["model_max_length"])
        except FileNotFoundError:
            raise RepoError(f"{folder} has no {TOKENIZER}; download it again") from None
        except RepoError:
            raise
        except Exception as error:  # the tokenizers library raises bare exceptions
            raise RepoError(f"{path} cannot be read ({told(error)})") from error
        missing = [token for token in (START, END) if backend.token_to_id(token) is None]
        if missing:
            raise RepoError(f"{path} has no {missing[0]!r}; it is not a tokenizer of CLIP's")
        return cls(backend, length)

    def save(self, folder: Path) -> None:
        """Write the two files that `from_folder` and `transformers` read."""
        self.backend.save(str(folder / TOKENIZER))
        settings = {
            "backend": "tokenizers",
            "bos_token": START,
            "eos_token": END,
            "model_max_length": self.context_length,
            "pad_token": END,
            "tokenizer_class": "CLIPTokenizer",
            "unk_token": END,
        }
        text = json.dumps(settings, indent=2, sort_keys=True) + "\n"
        (folder / SETTINGS).write_text(text, encoding="utf-8")

    def transformers(self) -> CLIPTokenizer:
        """Return the same tokenizer as the library's own class, for its pipelines."""
        from transformers import CLIPTokenizer

        model = json.loads(self.backend.to_str())["model"]
        return CLIPTokenizer(
            vocab=model["vocab"],
            merges=[tuple(pair) for pair in model["merges"]],  # type: ignore[misc]
            bos_token=START,
            eos_token=END,
            unk_token=END,
            pad_token=END,
            model_max_length=self.context_length,
        )


def build_tokenizer(merges: Sequence[tuple[str, str]], context_length: int) -> ClipTokenizer:
    """Return a CLIP tokenizer that can spell any text.

    CLIP's unknown token is its end token, and the text tower reads nothing after the first end: a
    vocabulary that lacks one symbol would cut sentences in silence. So every byte is in it, inside
    a word and at its end.

    Args:
        merges: Pairs of symbols to join, most useful first; none gives a plain byte tokenizer.
        context_length: Tokens a sentence can have, the start and the end included.
    """
    from tokenizers.pre_tokenizers import ByteLevel

    letters = sorted(ByteLevel.alphabet())
    symbols = [*letters, *(f"{letter}</w>" for letter in letters)]
    symbols += [left + right for left, right in merges]
    vocabulary = {symbol: i for i, symbol in enumerate(dict.fromkeys([*symbols, START, END]))}
    return ClipTokenizer(_backend(vocabulary, merges), context_length)


def _backend(vocabulary: dict[str, int], merges: Sequence[tuple[str, str]]) -> Any:
    """Return byte pairs over lower-case text, as the official tokenizer reads it."""
    from tokenizers import (
        AddedToken,
        Regex,
        Tokenizer,
        decoders,
        models,
        normalizers,
        pre_tokenizers,
        processors,
    )

    pairs = models.BPE(
        vocab=vocabulary,
        merges=[(left, right) for left, right in merges],
        unk_token=END,
        continuing_subword_prefix="",
        end_of_word_suffix="</w>",
        fuse_unk=False,
    )
    backend = Tokenizer(pairs)
    backend.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PARTS), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    backend.decoder = decoders.ByteLevel()
    backend.post_processor = processors.RobertaProcessing(
        (END, vocabulary[END]),
        (START, vocabulary[START]),
        add_prefix_space=False,
        trim_offsets=False,
    )
    backend.add_special_tokens(
        [AddedToken(token, normalized=False, special=True) for token in (START, END)]
    )
    return backend
