"""What the sentence of an edit names, as the operators see it.

A drawn face that shows already what is asked for changes nothing within its pair. Then the sentence
says what the photograph has to show, and the drawn face after the edit that the method meant it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

WORN = ("glasses", "hat", "earrings")


@dataclass(frozen=True)
class Asked:
    """What a sentence names, so that what it does not name can stay as it is.

    Attributes:
        kinds: Part ("beard", "hair", "glasses", "hat", "earrings", "lips", "mouth", "eyes", "age")
            -> the kinds that are asked for; "" is whichever, "none" that it is gone.
        only: Whether the sentence is about parts of the face alone. Then other parts stay.
        known: Whether all of it is understood. Then nothing is put on that it does not name.
        about: Its topics, see `faceedit.words.worn.topics`.
        fully: Whether the edit is strong enough to show what it names in full.
        share: How much of a state that is named has to be reached, in [0, 1], by its strength.
    """

    kinds: Mapping[str, frozenset[str]] = field(default_factory=dict)
    only: bool = False
    known: bool = False
    about: frozenset[str] = frozenset()
    fully: bool = True
    share: float = 1.0

    def may(self, part: str) -> bool:
        """Return whether the edit may put on, take off or replace a part."""
        return part in self.kinds or not (self.only or (self.known and part in WORN))

    def speaks_of(self, *topics: str) -> bool:
        """Return whether an edit may change what belongs to any of some topics."""
        return not self.only or not self.about.isdisjoint(topics)

    @property
    def keeps_hair_colour(self) -> bool:
        """Whether the sentence names a cut of hair and no colour of it."""
        return self.only and "hair" in self.kinds and "hair colour" not in self.kinds

    def wants(self, part: str) -> frozenset[str]:
        """Return the kinds of a part that should be there after the edit; empty if none is named.

        What the photograph lacks of them is new even where the drawn face had it before the edit.
        """
        return self.kinds.get(part, frozenset()) - {"none"} if self.fully else frozenset()

    def reaches(self, part: str, kind: str) -> float:
        """Return how much of a state, like a laugh, has to be reached; 0 if it is not named."""
        return self.share if kind in self.kinds.get(part, frozenset()) else 0.0

    def rejects(self, part: str) -> bool:
        """Return whether a part should be gone after the edit."""
        return self.fully and self.kinds.get(part) == frozenset({"none"})


ANYTHING = Asked()  # nothing is known of the sentence
