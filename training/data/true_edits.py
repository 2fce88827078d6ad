"""What a sentence changes: every statement of the world as a change of attributes, in tables.

A statement's true edit moves the attributes that its conditions name, and nothing else: a category
takes the value that is meant, a hue its middle, an amount goes well into its range (`DEPTH`). What
holds already stays as it is. A comparative ("older", "slightly wider") moves an amount by a share
of its whole range instead. Batches are changed at once; there is no loop over faces.
"""

from __future__ import annotations

import torch
from torch import Tensor

from faceedit.world import SPECS, FaceAttributes
from faceedit.world.captions import STATEMENTS, visible
from faceedit.world.statements import HairColor, Hue, OneOf, Statement, Within

__all__ = ["SHIFTS", "TrueEdits"]

DEPTH = 0.75  # of the way from a range's edge to the attribute's own: surely true, not extreme
FURTHEST = 1.0  # the same of an edit that is overdone
SHIFTS = {"slightly": 0.12, "": 0.25, "much": 0.45}  # share of an amount's range, a comparative
# Where a statement covers several values, the one that its words bring to mind.
MEANT = {
    "hair_style=short hair": "short",
    "beard=any": "full",
    "glasses=any": "square",
    "earrings=any": "hoops",
}
# Conditions that say of whom a statement can be true; making it true does not bring them about.
GIVEN = {("fringe", "hair_style"), ("hair_volume", "hair_style"), ("shaven", "femininity")}
SLOTS, MOST_VALUES = 3, max(len(spec.values) for spec in SPECS.values())
NOTHING, AMOUNT, CATEGORY, HUE = range(4)
INFINITY = float("inf")
COLUMNS = {name: i for i, name in enumerate(SPECS)}


class TrueEdits:
    """Statements as changes of attributes. Statement -1 changes nothing."""

    def __init__(self) -> None:
        rows = len(STATEMENTS) + 1  # the last changes nothing
        self.kind = torch.zeros(rows, SLOTS, dtype=torch.long)
        self.column = torch.zeros(rows, SLOTS, dtype=torch.long)
        self.low = torch.full((rows, SLOTS), -INFINITY)  # of what holds; a hue's half-width
        self.high = torch.full((rows, SLOTS), INFINITY)
        self.goal = torch.zeros(rows, SLOTS)  # what is made of what does not hold
        self.extreme = torch.zeros(rows, SLOTS)  # where an amount goes that is overdone
        self.way = torch.zeros(rows, SLOTS)  # of a comparative: 1 up, -1 down, 0 as without
        self.allowed = torch.zeros(rows, SLOTS, MOST_VALUES, dtype=torch.bool)
        for number, statement in enumerate(STATEMENTS):
            self._enter(number, statement)
        specs = list(SPECS.values())
        self.least = torch.tensor([spec.low for spec in specs])
        self.most = torch.tensor([spec.high for spec in specs])

    def _enter(self, number: int, statement: Statement) -> None:
        """Fill the rows of one statement."""
        kept = [(n, c) for n, c in statement.when.items() if (statement.name, n) not in GIVEN]
        for slot, (name, condition) in enumerate(kept):
            place, spec = (number, slot), SPECS[name]
            self.column[place] = COLUMNS[name]
            if isinstance(condition, Within):
                self.kind[place] = AMOUNT
                self.low[place], self.high[place] = condition.low, condition.high
                above, below = condition.low > -INFINITY, condition.high < INFINITY
                for goal, depth in ((self.goal, DEPTH), (self.extreme, FURTHEST)):
                    if above and below:
                        goal[place] = (condition.low + condition.high) / 2
                    elif above:
                        goal[place] = condition.low + depth * (spec.high - condition.low)
                    else:
                        goal[place] = condition.high + depth * (spec.low - condition.high)
                self.way[place] = float(above) - float(below)
            elif isinstance(condition, Hue):
                self.kind[place], self.low[place] = HUE, condition.width
                self.goal[place] = condition.centre
            else:
                assert isinstance(condition, OneOf | HairColor)
                self.kind[place] = CATEGORY
                meant = MEANT.get(statement.key, condition.values[0])
                self.goal[place] = spec.values.index(meant)
                for value in condition.values:
                    self.allowed[number, slot, spec.values.index(value)] = True

    def _holds(self, values: Tensor, which: Tensor, slot: int) -> tuple[Tensor, Tensor]:
        """Return a slot's attribute of every face and whether its condition holds, both [n]."""
        kind, column = self.kind[which, slot], self.column[which, slot]
        v = values.gather(1, column[:, None])[:, 0]
        within = (v >= self.low[which, slot]) & (v <= self.high[which, slot])
        turn = (v - self.goal[which, slot] + 0.5).remainder(1.0) - 0.5
        index = v.round().long().clamp(0, MOST_VALUES - 1)
        listed = self.allowed[which, slot].gather(1, index[:, None])[:, 0]
        near = turn.abs() <= self.low[which, slot]
        holds = torch.where(kind == CATEGORY, listed, torch.where(kind == HUE, near, within))
        return v, holds | (kind == NOTHING)

    def true(self, values: Tensor, which: Tensor) -> Tensor:
        """Return where a statement is true, [n] bool.

        Args:
            values: Attributes, [n, A].
            which: A statement a face, [n] of indices into STATEMENTS, or -1.
        """
        slots = [self._holds(values, which, slot)[1] for slot in range(SLOTS)]
        return torch.stack(slots).all(0)

    def _moved(self, v: Tensor, which: Tensor, slot: int, by: Tensor) -> Tensor:
        """Move an amount by a share of its range, and keep it inside."""
        column = self.column[which, slot]
        least, most = self.least[column], self.most[column]
        return torch.minimum(torch.maximum(v + by * (most - least), least), most)

    def apply(self, values: Tensor, which: Tensor, shift: Tensor) -> Tensor:
        """Return the attributes after the true edits.

        Args:
            values: Attributes, [n, A].
            which: Statements, [n, k]; -1 for none.
            shift: Of comparatives, how far; 0 for plain statements, [n, k].
        """
        for statement, by in zip(which.unbind(1), shift.unbind(1), strict=True):
            for slot in range(SLOTS):
                v, holds = self._holds(values, statement, slot)
                way = self.way[statement, slot]
                plain = torch.where(holds, v, self.goal[statement, slot])
                further = self._moved(v, statement, slot, by * way)
                new = torch.where((by > 0) & (way != 0), further, plain)
                values = values.scatter(1, self.column[statement, slot][:, None], new[:, None])
        return values

    def overdo(self, values: Tensor, which: Tensor, shift: Tensor) -> Tensor:
        """Return the attributes after true edits of strength 2.

        An amount goes to the end of its range, or by twice a comparative's shift; a category or a
        hue is what it is for strength 1, because there is no more of it.
        """
        values = self.apply(values, which, 2 * shift)
        for statement, by in zip(which.unbind(1), shift.unbind(1), strict=True):
            for slot in range(SLOTS):
                v, _ = self._holds(values, statement, slot)
                way, end = self.way[statement, slot], self.extreme[statement, slot]
                further = torch.where(way > 0, torch.maximum(v, end), torch.minimum(v, end))
                graded = (self.kind[statement, slot] == AMOUNT) & (way != 0) & (by == 0)
                new = torch.where(graded, further, v)
                values = values.scatter(1, self.column[statement, slot][:, None], new[:, None])
        return values

    def undo(self, values: Tensor, which: Tensor, shift: Tensor, others: Tensor) -> Tensor:
        """Return attributes from which the edits may have come: what strength -1 goes to.

        What holds takes the value of another person of whom it does not hold; an amount that does
        not hold goes the other way by as much as the edit would move it.

        Args:
            values: Attributes, [n, A].
            which: Statements, [n, k]; -1 for none.
            shift: As for `apply`.
            others: Attributes of d other people for every face, [n, d, A].
        """
        for statement, by in zip(which.unbind(1), shift.unbind(1), strict=True):
            for slot in range(SLOTS):
                v, holds = self._holds(values, statement, slot)
                before, open_ = v, holds
                for other in others.unbind(1):
                    theirs, fits = self._holds(other, statement, slot)
                    before = torch.where(open_ & ~fits, theirs, before)
                    open_ = open_ & fits
                way, kind = self.way[statement, slot], self.kind[statement, slot]
                column = self.column[statement, slot]
                span = self.most[column] - self.least[column]
                away = self._moved(v, statement, slot, (v - self.goal[statement, slot]) / span)
                opposite = torch.where((kind == AMOUNT) & (way != 0), away, v)
                plain = torch.where(holds, before, opposite)
                less = self._moved(v, statement, slot, -by * way)
                new = torch.where((by > 0) & (way != 0), less, plain)
                values = values.scatter(1, column[:, None], new[:, None])
        return values

    def wanted(
        self, which: Tensor
    ) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]:
        """Return what statements ask for, by attribute.

        Args:
            which: Statements, [n, k]; -1 for none.

        Returns:
            Which values, [n, values] bool, for every attribute that has values (none True: nothing
            is said of it); whether anything is said of it, [n] bool, for every attribute; and which
            way it should go, [n] of 1, -1 or 0, for every one that has no values.
        """
        rows = torch.arange(len(which))
        values = torch.zeros(len(which), len(SPECS), MOST_VALUES, dtype=torch.bool)
        meant = torch.zeros(len(which), len(SPECS), dtype=torch.bool)
        ways = torch.zeros(len(which), len(SPECS))
        for statement in which.unbind(1):
            for slot in range(SLOTS):
                column, kind = self.column[statement, slot], self.kind[statement, slot]
                ways[rows, column] += self.way[statement, slot]
                values[rows, column] |= self.allowed[statement, slot]
                meant[rows, column] |= kind != NOTHING
        names = list(SPECS)
        return (
            {
                n: values[:, i, : len(SPECS[n].values)]
                for i, n in enumerate(names)
                if SPECS[n].values
            },
            {n: meant[:, i] for i, n in enumerate(names)},
            {n: ways[:, i].sign() for i, n in enumerate(names) if not SPECS[n].values},
        )

    def together(self) -> Tensor:
        """Return which statements can be made true of one face and be seen, [S, S] bool."""
        count = len(STATEMENTS)
        every, plain = torch.arange(count), torch.zeros(count, 1)
        fits = torch.zeros(count, count, dtype=torch.bool)
        start = FaceAttributes.default(count).values
        for first in range(count):
            this = torch.full((count,), first)
            one = self.apply(start, this[:, None], plain)
            both = self.apply(one, every[:, None], plain)
            seen = visible(STATEMENTS[first], FaceAttributes(both))
            if not bool(visible(STATEMENTS[first], FaceAttributes(one[:1]))):
                seen = torch.ones_like(seen)  # hidden by something else
            fits[first] = self.true(both, this) & seen
        names = [statement.name for statement in STATEMENTS]
        same = torch.tensor([[a == b for b in names] for a in names])
        return fits & fits.T & ~same
