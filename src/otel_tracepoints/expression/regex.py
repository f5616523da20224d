"""``s.matches(pattern)``: is there a match anywhere, in time linear in the text?

Python's engine backtracks: ``a*b`` alone takes quadratic time on a text of many a's. So `re` is
only used to parse; `patterns` turns the tree into a nondeterministic automaton, and here that
becomes a deterministic one, state by state as texts call for them. A character of the text is
then one dict lookup. Each new state is charged to the evaluation.

As it is only asked whether there is a match, greedy and lazy repeats mean the same.
"""

from __future__ import annotations

import sys
from typing import Dict, FrozenSet, Optional, Set, Tuple, Union

from otel_tracepoints.errors import EvaluationError
from otel_tracepoints.expression.budget import LEFT, State, new_state, spend
from otel_tracepoints.expression.patterns import CHARACTER, MATCH, Program, compile_program

#: Longest text that is searched: characters (rule 2 of the expression language).
MAX_SUBJECT = 4_096
#: Longest pattern that is taken from a value at run time: parsing costs some 3 µs a character.
MAX_DYNAMIC_PATTERN = 100
#: Deterministic states kept for one pattern; then all are forgotten and made anew.
_MAX_STATES = 1_000
#: Patterns from run-time values that are kept.
_MAX_CACHED = 64
_WARM_STEPS = 4_000
#: How many budgets' worth of new states `Regex.is_absent` may make: some 3 ms, once.
_ROUNDS = 4

# What stood before the current position; it decides ^, \A, \b and \B.
_START, _NEWLINE, _WORD, _OTHER = range(4)
# From 3.14 on \B matches in an empty text.
_EMPTY_IS_NO_BOUNDARY = sys.version_info >= (3, 14)

#: A newline that ends the text (`$` matches before it), and the end itself.
_LAST_NEWLINE, _END = "\n$", ""


class _Node(Dict[str, "_Node"]):
    """A deterministic state: next character → next state. ``key`` is what it stands for."""

    __slots__ = ("key",)

    def __init__(self, key: Tuple[FrozenSet[int], int]) -> None:
        super().__init__()
        self.key = key


class Regex:
    """A pattern that was accepted; searches in linear time; thread safe.

    Raises:
        ValueError: at construction, with a sentence that says what is wrong with the pattern.
    """

    __slots__ = ("_classes", "_matched", "_nodes", "_program", "_start", "pattern")

    def __init__(self, pattern: str, max_states: int = 1_000, max_sets: int = 200) -> None:
        self.pattern = pattern
        self._program: Program = compile_program(pattern, max_states, max_sets)
        self._matched = _Node((frozenset(), -1))
        self._classes: Dict[str, Tuple[bool, ...]] = {}
        self._nodes: Dict[Tuple[FrozenSet[int], int], _Node] = {}
        self._start = self._node(frozenset(), _START)

    def warm(self) -> Regex:
        """Make the states for ASCII text beforehand (some milliseconds at most)."""
        waiting, seen, steps = [self._start], {id(self._start), id(self._matched)}, 0
        for node in waiting:
            for character in map(chr, range(32, 127)):
                steps += 1
                following = self._step(node, character, new_state())
                if id(following) not in seen:
                    seen.add(id(following))
                    waiting.append(following)
            if steps > _WARM_STEPS:
                break
        return self

    def search(self, text: str, state: State) -> bool:
        """True when the pattern matches somewhere in ``text`` (an exact str).

        Raises:
            EvaluationError: ``BUDGET``.
        """
        if len(text) > MAX_SUBJECT:
            raise EvaluationError("BUDGET", f"matches() searches at most {MAX_SUBJECT} characters")
        literal = self._program.literal
        if literal is not None:
            spend(state, 1 + (len(text) * min(len(literal), 99) >> 8))
            return literal in text
        spend(state, len(text) + 1)
        return self._scan(text, state)

    def is_absent(self, text: str) -> bool:
        """True when it matches nowhere in a text of any length; False also when that cannot be told."""
        state = new_state()
        state[LEFT] *= _ROUNDS
        try:
            return not self._scan(text, state)
        except EvaluationError:
            return False

    def _scan(self, text: str, state: State) -> bool:
        matched = self._matched
        node = self._start
        body, ends = (text[:-1], (_LAST_NEWLINE, _END)) if text[-1:] == "\n" else (text, (_END,))
        for tokens in (body, ends):
            for token in tokens:
                following = node.get(token)
                if following is None:
                    following = self._step(node, token, state)
                if following is matched:
                    return True
                node = following
        return False

    def _node(self, core: FrozenSet[int], before: int) -> _Node:
        key = (core, before)
        node = self._nodes.get(key)
        return self._nodes.setdefault(key, _Node(key)) if node is None else node

    def _step(self, node: _Node, token: str, state: State) -> _Node:
        """The state after a token, made and remembered."""
        program = self._program
        core, before = node.key
        spend(state, 40 + 4 * len(program.kind))
        if len(self._nodes) > _MAX_STATES:
            self._nodes = {}
            self._start = self._node(frozenset(), _START)
        reached = program.expand(core, self._holding(before, token))
        if any(program.kind[index] == MATCH for index in reached):
            following = self._matched
        else:
            character = token[:1]
            accepted = self._class(character, state) if character else ()
            moved = frozenset(
                program.next[index][0]
                for index in reached
                if character and program.kind[index] == CHARACTER and accepted[program.set[index]]
            )
            following = self._node(moved, self._before(character))
        node[token] = following
        return following

    def _before(self, character: str) -> int:
        if character == "\n":
            return _NEWLINE
        return _WORD if character and self._program.word(character) else _OTHER

    def _holding(self, before: int, token: str) -> FrozenSet[str]:
        """The anchors that hold between what stood before and the next token."""
        holding: Set[str] = set()
        if before == _START:
            holding.update(("AT_BEGINNING", "AT_BEGINNING_STRING", "AT_BEGINNING_LINE"))
        elif before == _NEWLINE:
            holding.add("AT_BEGINNING_LINE")
        if token == _END:
            holding.update(("AT_END", "AT_END_STRING", "AT_END_LINE"))
        elif token == _LAST_NEWLINE:
            holding.update(("AT_END", "AT_END_LINE"))
        elif token == "\n":  # noqa: S105 - a character, not a password
            holding.add("AT_END_LINE")
        if (before == _WORD) != (self._before(token[:1]) == _WORD):
            holding.add("AT_BOUNDARY")
        elif _EMPTY_IS_NO_BOUNDARY or not (before == _START and token == _END):
            holding.add("AT_NON_BOUNDARY")
        return frozenset(holding)

    def _class(self, character: str, state: State) -> Tuple[bool, ...]:
        """Which of the pattern's sets this character is in."""
        found = self._classes.get(character)
        if found is None:
            spend(state, 8 * len(self._program.sets))
            found = tuple(bool(each(character)) for each in self._program.sets)
            if len(self._classes) < _MAX_STATES:
                self._classes[character] = found
        return found


#: Patterns that came from values, or why they were refused. Each access is one atomic dict operation.
_DYNAMIC: Dict[str, Union[Regex, str]] = {}


def dynamic(pattern: str, state: State) -> Regex:
    """The regex for a pattern that is only known at run time.

    Raises:
        EvaluationError: ``INVALID_REGEX``, ``BUDGET`` when it is too long to be parsed in time.
    """
    known: Optional[Union[Regex, str]] = (
        _DYNAMIC.get(pattern) if len(pattern) <= MAX_DYNAMIC_PATTERN else None
    )
    if known is None:
        if len(pattern) > MAX_DYNAMIC_PATTERN:
            raise EvaluationError("BUDGET", f"such a pattern has at most {MAX_DYNAMIC_PATTERN} characters")
        spend(state, 1_000 + 60 * len(pattern))
        try:
            known = Regex(pattern, max_states=200, max_sets=20)
        except ValueError as error:
            known = str(error)
        if len(_DYNAMIC) >= _MAX_CACHED:
            _DYNAMIC.clear()
        _DYNAMIC[pattern] = known
    if isinstance(known, str):
        # The reason may quote the pattern, which is a value here.
        raise EvaluationError("INVALID_REGEX", "the pattern of matches() cannot be used")
    return known
