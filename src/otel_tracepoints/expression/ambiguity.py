r"""Can a pattern make Python's regex engine take exponential time?

It can where a loop has two ways to go on with the same character: ``(a+)+``, ``(a|aa)*``,
``(\w+\s?)*``. A text that almost matches then is tried in every combination. The test is on the
pattern's positions (Glushkov's construction): within a loop no two positions that may come next
may share a character. What passes takes polynomial time at most; some harmless patterns fail,
such as ``(foo|far)+``.
"""

from __future__ import annotations

from typing import Any, FrozenSet, List, NamedTuple, Set

from otel_tracepoints.expression import patterns

#: Copies of a counted part that are told apart; with more it is taken for a loop.
_MOST_COPIES = 64
_MOST_POSITIONS = 2_000
#: A loop of so few rounds, all loops around it included, is no danger.
_FEW_ROUNDS = 32
_ENDLESS = 1 << 32


class _Part(NamedTuple):
    """Where matching a part may begin and end; whether it may match nothing."""

    first: List[int]
    last: List[int]
    empty: bool


class _Positions:
    def __init__(self) -> None:
        self._characters: List[FrozenSet[str]] = []
        self._next: List[List[int]] = []
        self._loops: List[range] = []

    def explode(self) -> bool:
        for loop in self._loops:
            for position in loop:
                seen: Set[str] = set()
                for following in self._next[position]:
                    if following in loop:
                        if not seen.isdisjoint(self._characters[following]):
                            return True
                        seen |= self._characters[following]
        return False

    def sequence(self, items: Any, flags: int, rounds: int) -> _Part:
        whole = _Part([], [], True)
        for op, argument in items:
            whole = self._then(whole, self._item(op, argument, flags, rounds))
        return whole

    def _then(self, one: _Part, two: _Part) -> _Part:
        for position in one.last:
            self._next[position] += two.first
        return _Part(
            one.first + two.first if one.empty else one.first,
            one.last + two.last if two.empty else two.last,
            one.empty and two.empty,
        )

    def _item(self, op: Any, argument: Any, flags: int, rounds: int) -> _Part:
        name = str(op)
        if name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
            return self._repeat(argument, flags, rounds)
        if name == "SUBPATTERN":
            return self.sequence(argument[3], patterns.scoped(flags, argument), rounds)
        if name == "ATOMIC_GROUP":
            return self.sequence(argument, flags, rounds)
        if name == "BRANCH":
            return self._either([self.sequence(each, flags, rounds) for each in argument[1]])
        if name == "GROUPREF_EXISTS":
            return self._either([self.sequence(each or [], flags, rounds) for each in argument[1:]])
        if name in ("ASSERT", "ASSERT_NOT"):
            self.sequence(argument[1], flags, rounds)
        elif name != "AT":
            everything = name == "GROUPREF"
            return self._position(
                patterns.EVERY_SAMPLE if everything else patterns.sample(op, argument, flags)
            )
        return _Part([], [], True)

    def _either(self, parts: List[_Part]) -> _Part:
        return _Part(
            [each for part in parts for each in part.first],
            [each for part in parts for each in part.last],
            any(part.empty for part in parts),
        )

    def _position(self, characters: FrozenSet[str]) -> _Part:
        if len(self._characters) >= _MOST_POSITIONS:
            raise ValueError("the pattern is too large")
        self._characters.append(characters)
        self._next.append([])
        here = [len(self._characters) - 1]
        return _Part(here, here, False)

    def _repeat(self, argument: Any, flags: int, rounds: int) -> _Part:
        least, most, body = argument
        rounds = min(_ENDLESS, rounds * (_ENDLESS if most > _MOST_COPIES else most))
        start = len(self._characters)
        whole = part = _Part([], [], True)
        for copy in range(most if most <= _MOST_COPIES else max(1, min(least, _MOST_COPIES))):
            part = self.sequence(body, flags, rounds)
            whole = self._then(whole, part._replace(empty=part.empty or copy >= least))
        if most > _MOST_COPIES:
            for position in part.last:
                self._next[position] += part.first
        if rounds > _FEW_ROUNDS:
            self._loops.append(range(start, len(self._characters)))
        return whole._replace(empty=whole.empty or least == 0)


def may_explode(pattern: str) -> bool:
    """True when a text could take exponential time, or when the pattern is too large to tell.

    Raises:
        re.error: The pattern does not compile.
    """
    tree = patterns.parse(pattern)
    positions = _Positions()
    try:
        positions.sequence(tree, int(tree.state.flags), 1)
    except (ValueError, RecursionError):
        return True
    return positions.explode()
