"""What the sentence of an edit says of things that are worn or grown, as the operators see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Asked:
    """What a sentence names, so that what it does not name can stay as it is.

    Attributes:
        kinds: Part ("beard", "hair", "glasses", "hat", "earrings") -> the kinds that are asked for;
            "" is whichever, "none" that it is gone.
        only: Whether the sentence is about parts of the face alone. Then other parts stay.
        fully: Whether the edit is strong enough to show what it names in full.
    """

    kinds: Mapping[str, frozenset[str]] = field(default_factory=dict)
    only: bool = False
    fully: bool = True

    def may(self, part: str) -> bool:
        """Return whether the edit may put on, take off or replace a part."""
        return part in self.kinds or not self.only

    def wants(self, part: str) -> frozenset[str]:
        """Return the kinds of a part that should be there after the edit; empty if none is named.

        What the photograph lacks of them is new even where the drawn face had it before the edit.
        """
        return self.kinds.get(part, frozenset()) - {"none"} if self.fully else frozenset()

    def rejects(self, part: str) -> bool:
        """Return whether a part should be gone after the edit."""
        return self.fully and self.kinds.get(part) == frozenset({"none"})


ANYTHING = Asked()  # nothing is known of the sentence
