"""Regular expressions, checked and turned into a nondeterministic automaton.

Python's own parser reads the pattern, so it means what it means to `re`. Refused are what no
automaton can do (backreferences, lookaround, conditionals, atomic and possessive groups) and what
the expression language rules out (nested unbounded repeats, unbounded repeats side by side that
could share the same text).
"""

from __future__ import annotations

import importlib
import re
from typing import Any, Callable, Dict, FrozenSet, List, Optional, Set, Tuple

try:
    _parts = [importlib.import_module(f"re._{name}") for name in ("compiler", "constants", "parser")]
except ImportError:  # before 3.11
    _parts = [importlib.import_module(f"sre_{name}") for name in ("compile", "constants", "parse")]
_compiler: Any
_constants: Any
_parser: Any
_compiler, _constants, _parser = _parts

#: Tells whether a character is in a set.
Predicate = Callable[[str], object]

# Kinds of states.
CHARACTER, FORK, ANCHOR, MATCH = range(4)

# Flags that a set of characters depends on.
_SET_FLAGS = re.IGNORECASE | re.ASCII | re.UNICODE | re.DOTALL
_INLINE_FLAGS = re.compile(r"\(\?[aiLmsux]+\)")
#: Characters with which two sets are tried for an overlap.
_SAMPLE = [chr(code) for code in range(256)] + list(
    "\u03a9\u0436\u05d0\u4e2d\u3042\u0663\u2028\u1e9e\U0001d538\U0001f600"
)


EVERY_SAMPLE = frozenset(_SAMPLE)


def parse(pattern: str) -> Any:
    """The tree of a pattern, by Python's own parser.

    Raises:
        re.error: and whatever else that parser raises.
    """
    return _parser.parse(pattern)


def sample(op: Any, argument: Any, flags: int) -> FrozenSet[str]:
    """Some of the characters that one item of a tree takes, enough to tell sets apart."""
    taken: Set[str] = set()
    _collect([(op, argument)], flags, taken)
    return frozenset(taken)


class Program:
    """A nondeterministic automaton; state ``start`` first. Built once, then only read.

    Attributes:
        kind: What each state is.
        next: Where a state leads (a FORK: to all of these at once).
        set: For a CHARACTER state the index in ``sets``; for an ANCHOR its name.
        literal: The text that the pattern is, when it has nothing special in it.
        word: Tells word characters from others, for the word boundary.
    """

    def __init__(self, max_states: int, max_sets: int) -> None:
        self.kind: List[int] = []
        self.next: List[Tuple[int, ...]] = []
        self.set: List[Any] = []
        self.sets: List[Predicate] = []
        self.start = 0
        self.literal: Optional[str] = None
        self.word: Predicate = re.compile(r"\w").match
        self._known: Dict[Any, int] = {}
        self._max_states = max_states
        self._max_sets = max_sets

    def add(self, kind: int, following: Tuple[int, ...], what: Any = None) -> int:
        """A new state."""
        if len(self.kind) >= self._max_states:
            raise ValueError("the pattern is too large")
        self.kind.append(kind)
        self.next.append(following)
        self.set.append(what)
        return len(self.kind) - 1

    def set_index(self, op: Any, argument: Any, flags: int) -> int:
        """The index of a set of characters, made once."""
        flags &= _SET_FLAGS
        key = (str(op), str(argument), flags)
        index = self._known.get(key)
        if index is None:
            if len(self.sets) >= self._max_sets:
                raise ValueError("the pattern has too many different sets of characters")
            index = self._known[key] = len(self.sets)
            self.sets.append(_predicate(op, argument, flags))
        return index

    def expand(self, states: FrozenSet[int], holding: FrozenSet[str]) -> Set[int]:
        """All states reached from these without a character, through the anchors that hold here."""
        reached: Set[int] = set()
        waiting = list(states)
        waiting.append(self.start)
        while waiting:
            index = waiting.pop()
            if index in reached:
                continue
            reached.add(index)
            kind = self.kind[index]
            if kind == FORK or (kind == ANCHOR and self.set[index] in holding):
                waiting.extend(self.next[index])
        return reached


def _predicate(op: Any, argument: Any, flags: int) -> Predicate:
    if op is _constants.LITERAL and not flags & re.IGNORECASE:
        return chr(argument).__eq__
    if op is _constants.ANY:
        return _anything if flags & re.DOTALL else "\n".__ne__
    state = _parser.State()
    state.flags = flags
    match: Predicate = _compiler.compile(_parser.SubPattern(state, [(op, argument)]), flags).match
    return match


def _anything(character: str) -> bool:
    return True


def compile_program(pattern: str, max_states: int, max_sets: int) -> Program:
    """The automaton of a pattern.

    Raises:
        ValueError: With a sentence that says what is wrong with the pattern.
    """
    _refuse_what_warns(pattern)
    try:
        tree = parse(pattern)
    except re.error as error:
        raise ValueError(str(error.msg)) from None
    except (OverflowError, RecursionError, MemoryError, ValueError, UserWarning, FutureWarning) as error:
        raise ValueError(f"it cannot be compiled ({type(error).__name__})") from None
    flags = int(tree.state.flags)
    program = Program(max_states, max_sets)
    if flags & re.ASCII:
        program.word = re.compile(r"\w", re.ASCII).match
    match = program.add(MATCH, ())
    program.start = _sequence(program, tree, flags, match)
    if not flags & re.IGNORECASE and len(tree) and all(op is _constants.LITERAL for op, _ in tree):
        program.literal = "".join(chr(argument) for _, argument in tree)
    return program


def _refuse_what_warns(pattern: str) -> None:
    """`re` calls `warnings.warn` for some patterns, and through it a hook of the application."""
    if _INLINE_FLAGS.search(pattern, 1):
        raise ValueError("flags such as (?i) must stand at the start of the pattern")
    index, inside = 0, False
    while index < len(pattern):
        character = pattern[index]
        if character == "\\":
            index += 2
            continue
        if inside:
            if character in "-&~|" and pattern[index : index + 2] == character * 2:
                raise ValueError(f"'{character * 2}' inside [...] must be escaped")
            inside = character != "]"
        elif character == "[":
            inside = True
            index += 2 if pattern[index + 1 : index + 2] == "^" else 1
            if pattern[index : index + 1] == "[":
                raise ValueError("'[' at the start of [...] must be escaped")
            if pattern[index : index + 1] == "]":
                index += 1
            continue
        index += 1


def _sequence(program: Program, items: Any, flags: int, following: int) -> int:
    previous: Optional[Set[str]] = None
    for item in items:
        current = _repeated_characters(item, flags)
        if previous and current and previous & current:
            raise ValueError("two unbounded repeats side by side could share the same text")
        previous = current
    for op, argument in reversed(list(items)):
        following = _item(program, op, argument, flags, following)
    return following


def _item(program: Program, op: Any, argument: Any, flags: int, following: int) -> int:
    if op in (_constants.LITERAL, _constants.NOT_LITERAL, _constants.IN, _constants.ANY):
        return program.add(CHARACTER, (following,), program.set_index(op, argument, flags))
    if op is _constants.AT:
        return program.add(ANCHOR, (following,), _anchor(argument, flags))
    if op is _constants.BRANCH:
        return program.add(FORK, tuple(_sequence(program, each, flags, following) for each in argument[1]))
    if op is _constants.SUBPATTERN:
        return _sequence(program, argument[3], scoped(flags, argument), following)
    if op is _constants.MAX_REPEAT or op is _constants.MIN_REPEAT:
        return _repeat(program, argument, flags, following)
    names = {
        "GROUPREF": "a backreference",
        "ASSERT": "lookaround",
        "ASSERT_NOT": "lookaround",
        "GROUPREF_EXISTS": "a conditional",
        "ATOMIC_GROUP": "an atomic group",
        "POSSESSIVE_REPEAT": "a possessive repeat",
    }
    raise ValueError(f"{names.get(str(op), 'this construct')} is not allowed")


def scoped(flags: int, argument: Any) -> int:
    """The flags that hold within a group."""
    return (flags | int(argument[1])) & ~int(argument[2])


def _anchor(where: Any, flags: int) -> str:
    name = str(where)
    if flags & re.MULTILINE and name in ("AT_BEGINNING", "AT_END"):
        return name + "_LINE"
    return name


def _repeat(program: Program, argument: Any, flags: int, following: int) -> int:
    least, most, body = argument
    unbounded = most is _constants.MAXREPEAT or most == _constants.MAXREPEAT
    if (unbounded or most > 1) and _has_unbounded(body):
        raise ValueError("an unbounded repeat inside a repeat")
    if unbounded:
        loop = program.add(FORK, ())
        inside = _sequence(program, body, flags, loop)
        program.next[loop] = (inside, following)
        # x+ and more: the last of the required copies leads into the loop.
        following = loop
    else:
        for _ in range(most - least):
            following = program.add(FORK, (_sequence(program, body, flags, following), following))
    for _ in range(least):
        following = _sequence(program, body, flags, following)
    return following


def _has_unbounded(items: Any) -> bool:
    for op, argument in items:
        if op is _constants.MAX_REPEAT or op is _constants.MIN_REPEAT:
            if argument[1] == _constants.MAXREPEAT or _has_unbounded(argument[2]):
                return True
        elif (op is _constants.SUBPATTERN and _has_unbounded(argument[3])) or (
            op is _constants.BRANCH and any(_has_unbounded(each) for each in argument[1])
        ):
            return True
    return False


def _repeated_characters(item: Any, flags: int) -> Optional[Set[str]]:
    """Of an unbounded repeat (perhaps in a group of its own): sample characters that it takes; else None."""
    op, argument = item
    if op is _constants.SUBPATTERN and len(argument[3]) == 1:
        return _repeated_characters(argument[3][0], scoped(flags, argument))
    if op is not _constants.MAX_REPEAT and op is not _constants.MIN_REPEAT:
        return None
    if argument[1] != _constants.MAXREPEAT:
        return None
    taken: Set[str] = set()
    _collect(argument[2], flags, taken)
    return taken


def _collect(items: Any, flags: int, taken: Set[str]) -> None:
    for op, argument in items:
        if op in (_constants.LITERAL, _constants.NOT_LITERAL, _constants.IN, _constants.ANY):
            if op is _constants.LITERAL:
                taken.add(chr(argument))
            test = _predicate(op, argument, flags & _SET_FLAGS)
            taken.update(each for each in _SAMPLE if test(each))
        elif op is _constants.SUBPATTERN:
            _collect(argument[3], scoped(flags, argument), taken)
        elif op is _constants.BRANCH:
            for each in argument[1]:
                _collect(each, flags, taken)
        elif op is _constants.MAX_REPEAT or op is _constants.MIN_REPEAT:
            _collect(argument[2], flags, taken)
