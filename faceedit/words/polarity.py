"""What a sentence wants to be there, and what it wants gone: read once, for all methods.

CLIP hears "beard" in "no facial hair", and a method that asks CLIP draws one. So a sentence is
taken apart here into wishes, each of something present or absent. What is absent is then said as
its opposite (`faceedit.words.lexicon`), which every method knows: "a clean-shaven face".
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from faceedit.words.lexicon import ANYONE, PARTS, THINGS, bare, opposite_of, thing_absent_in

__all__ = ["Wish", "denies", "read_wishes", "turned", "without_negations"]

# One letter each, of which no sentence is made: they stand for the words that deny something.
NOT, GONE = "\ue000", "\ue001"


@dataclass(frozen=True)
class Wish:
    """One thing that a sentence asks for, or asks to be without."""

    what: str
    present: bool = True


_FACIAL = r"(?:beard|moustache|mustache|goatee|stubble|whiskers|sideburns|facial hair)"
_THEIRS = r"(?:(?:the|his|her|their|its|my|your|that|those|all|any)\s+)*"
_TAKING = (
    r"tak(?:e|es|ing)|pull|cut|wip(?:e|ing)|clean|wash|shave|trim|strip|chop|snip|slip|peel|scrub|"
    r"rub|rip|knock|whip"
)
_SUFFIXED = (
    r"beard|hat|hair|smile|glasses|spectacle|earring|moustache|mustache|freckle|wrinkle|"
    r"expression|make-?up|lipstick|fringe"
)
_PREFIXED = (
    r"smiling|bearded|wrinkled|freckled|bespectacled|spectacled|hatted|moustached|tanned|curled|"
    r"curly|pierced|made-up|amused|surprised"
)
# What denies, in the order in which it is looked for. GONE takes a whole list with it: "remove the
# hat and the glasses"; NOT goes on only over "or" and "nor": "no beard and red hair".
_MARKS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), mark)
    for pattern, mark in (
        ("[\u2019`\u00b4]", "'"),
        (r"\b(?:take|knock|shave)s? (?:[\w'-]+ )*?(?:years|decades) off\b.*", "a young face"),
        (r"\bnot (?:only|just)\b", " "),
        (r"\b(?:(?:he|she|they|who) )?(?:(?:has|have|had|did|does|do|is)(?:n't| not)|never|not)"
         r"(?: been)? shav(?:e|ed|en|ing)\b"
         r"(?: (?:in|for)(?: (?!and\b|but\b|with\b)\w+)+)?", " stubble "),
        (r"\bbut also\b", " and "),
        (r"\b(?:can't|cannot|won't|ain't)\b", f" {NOT} "),
        (
            r"\b(?:do|does|did|is|are|was|were|has|have|had|should|would|could|must|need)n'?t\b",
            f" {NOT} ",
        ),
        (r"\b(?:no|not any) longer\b", f" {NOT} "),
        (r"\bno more\b", f" {NOT} "),
        (r"\b(smil\w+|laugh\w*|frown\w*) less\b", rf" {NOT} \1 "),
        (r"\bshav(?:e|ed|es|ing) (?:it|everything|all)(?: all)?(?: off)?\b", " clean-shaven "),
        (r"\bany ?more\b", " "),
        (rf"\bshav(?:e|ed|es|ing) (?:off )?{_THEIRS}head\b(?: bald)?", " a bald head "),
        (rf"\bshav(?:e|es|ing) (?:off )?({_THEIRS}{_FACIAL})(?: off| away)?\b", rf" {GONE} \1 "),
        (r"\bclean(?:ly)?[- ]?shave[nd]?\b", "clean-shaven"),
        (r"\bshave(?: (?:him|her|them|clean|(?:his|her|the|their) face|the \w+))?\b(?! off)",
         " clean-shaven "),
        (rf"\b(?:{_TAKING}) (?:off|away|out)\b",
         f" {GONE} "),
        (rf"\b(?:{_TAKING}|get|gets|keep|leave)"
         r" ((?:(?!and\b|or\b|with\b)[\w'-]+ ){1,4}?)(?:off|away|out)\b", rf" {GONE} \1 "),
        (rf"\b({_THEIRS})((?:facial |head|sun|eye|ear)?\w+) (?:off|gone|removed|away)\b",
         rf" {GONE} \2 "),
        (rf"\b({_SUFFIXED})s?-?less\b", rf" {GONE} \1 "),
        (r"\b([\w]+(?:-up)?)[- ]free\b", rf" {GONE} \1 "),
        (rf"\bun-?({_PREFIXED})\b", rf" {NOT} \1 "),
        (r"\bnon[- ](?=\w)", f" {NOT} "),
        (
            r"\b(?:remov(?:e|es|ing)|get(?:s|ting)? rid of|los(?:e|es|ing)|delet(?:e|es|ing)|"
            r"eras(?:e|es|ing)|ditch(?:es|ing)?|eliminat(?:e|es|ing)|discard|omit|"
            r"(?:do )?away with|lack(?:s|ing)?|free (?:of|from)|devoid of|minus|sans|w/o|without|"
            r"drop(?:s|ping)? (?=the |his |her |their |all ))\s*(?:of\b)?",
            f" {GONE} ",
        ),
        (
            r"\b(?:stop(?:s|ped|ping)?|quit|avoid|never|neither|none of|no|not|less|fewer|zero|"
            r"instead of|rather than|anything but|(?:the )?opposite of)\b",
            f" {NOT} ",
        ),
    )
)  # fmt: skip
_BREAK = re.compile(
    rf"({NOT}|{GONE}|[,;.!?:&+/]|\b(?:and|with|wearing|who|that|but|or|nor|while|then|plus)\b)"
)
_LISTED = ("and", "&", "+", ",", "plus")
# Words before what a part is about, and after it.
_LEADS = re.compile(
    r"^(?:(?:he|she|they|it|i|we|you|him|her|them|his|their|its|my|the|a|an|any|this|that|those|"
    r"person|face|character|subject|model|lady|gentleman|guy|girl|boy|woman|man|should|must|would|could|can|will|might|is|are|be|being|was|has|have|having|wear|wears|with|looks?|looking|seems?|"
    r"please|make|give|let|add|put|to|of|much|so|too|really|at all|do|does|and|longer|can you|"
    r"could you)(?![\w-])\s*)+"
)
_TAILS = re.compile(
    r"\s*\b(?:at all|whatsoever|please|anywhere|(?:from|on|off) (?:him|her|them|it|"
    r"(?:the|his|her|their|my|this|that) (?:\w+ ?)?(?:face|head|person|man|woman|eyes|nose|chin))|"
    r"on|in view|in sight)$"
)


def denies(prompt: str) -> bool:
    """Return whether a sentence says "no" to anything, in whatever words."""
    return any(mark in _marked(prompt) for mark in (NOT, GONE))


def without_negations(prompt: str) -> str:
    """Return a sentence that says the same with no "no" in it; itself where there is none.

    "red hair but no beard" -> "red hair, a clean-shaven face"
    """
    marked = _marked(prompt)
    if NOT not in marked and GONE not in marked:
        return prompt if marked.split() == prompt.lower().split() else " ".join(marked.split())
    return ", ".join(dict.fromkeys(_said(wish) for wish in read_wishes(prompt))) or prompt


def turned(prompt: str, shown: str) -> tuple[str, str]:
    """Return a sentence with no "no" in it, and what there is, with what is to go.

    For a CLIP that reads the user's own words: the way from "a face with a beard" to
    "a clean-shaven face". What denies nothing stays as it is, to the letter.

    Args:
        prompt: What is wanted.
        shown: What the photo shows already.
    """
    if not denies(prompt):
        return prompt, shown
    said, gone = [], []
    for wish in read_wishes(prompt):
        text = _said(wish)
        said.append(text if wish.present else bare(text))
        if not wish.present and (thing := thing_absent_in(text)):
            gone.append(thing)
    there = f"{shown} with {' and '.join(dict.fromkeys(gone))}" if gone else shown
    return ", ".join(dict.fromkeys(said)) or prompt, there


def read_wishes(prompt: str) -> list[Wish]:
    """Return what a sentence wants, part by part, each present or absent.

    "a man with red hair, not smiling and without a hat or glasses" ->
    red hair; smiling, hat, glasses absent
    """
    wishes: list[Wish] = []
    for part in _read_parts(_marked(prompt)):
        wishes.append(Wish(part.what, not part.denied))
    named = [wish for wish in wishes if wish.what.lower() not in ANYONE]
    return named or wishes


def _said(wish: Wish) -> str:
    return wish.what if wish.present else opposite_of(wish.what)


def _marked(prompt: str) -> str:
    """Return a sentence in small letters, with a mark for every word that denies."""
    text = " ".join(prompt.lower().split())
    for pattern, mark in _MARKS:
        text = pattern.sub(mark, text)
    return text


@dataclass
class _Part:
    """Some words of a sentence, and what stands before them."""

    joint: str = ""
    marks: str = ""
    what: str = ""
    denied: bool = False
    whole: bool = False  # denied by a word that takes a list with it


def _cut(marked: str) -> list[_Part]:
    """Cut a marked sentence at its joints; what denies belongs to the words after it."""
    parts: list[_Part] = []
    joint, marks = "", ""
    for piece in _BREAK.split(marked):
        piece = piece.strip()
        if piece in (NOT, GONE):
            marks += piece
        elif _BREAK.fullmatch(piece):
            # "not wearing glasses": the word that denies goes on; "no beard, glasses": it ends
            joint = piece
        else:
            what = _bare(piece)
            if what:
                parts.append(_Part(joint, marks, what))
                joint, marks = "", ""
    return parts


def _read_parts(marked: str) -> list[_Part]:
    """Decide for each part whether it is denied: twice denied is wanted."""
    parts = _cut(marked)
    read: list[_Part] = []
    for number, part in enumerate(parts):
        before = read[-1] if read else _Part()
        if part.marks:
            part.denied = len(part.marks) % 2 == 1
            part.whole = GONE in part.marks
            if _is_part_of_face(before.what) and not before.denied and _only_says(part.what):
                part.what = f"{part.what} {before.what}"  # "hair that is not red"
                read.pop()
        elif before.denied:
            part.denied, part.whole = _goes_on(before, part, parts[number + 1 :]), before.whole
        read.append(part)
    rest = [part for part in read if part.denied or not _is_part_of_face(part.what)]
    return rest or read


def _goes_on(before: _Part, part: _Part, after: list[_Part]) -> bool:
    """Whether what was denied before goes on over this part of a list."""
    if part.joint in ("or", "nor"):
        return True
    if part.joint not in _LISTED:
        return False
    if before.whole and part.what in THINGS:
        return True
    for later in after:  # "no hat, beard or glasses"
        if later.marks or later.joint not in (",", "or", "nor"):
            return False
        if later.joint != ",":
            return part.joint == ","
    return False


def _bare(piece: str) -> str:
    """Return what a part of a sentence is about, without the words around it."""
    piece = _TAILS.sub("", piece.strip(" '\"-"))
    kept = _LEADS.sub("", piece).strip()
    return kept or (piece if piece in ANYONE else "")


def _is_part_of_face(what: str) -> bool:
    return what in PARTS


def _only_says(what: str) -> bool:
    """Whether words say how something is and not what: "red", "very long"."""
    return not any(word in PARTS or word in THINGS for word in re.findall(r"[a-z-]+", what))
