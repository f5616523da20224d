"""The linear-time regular expressions of ``matches``."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.timing import cpu_seconds, quickest

from otel_tracepoints.errors import EvaluationError
from otel_tracepoints.expression.ambiguity import may_explode
from otel_tracepoints.expression.budget import WORK
from otel_tracepoints.expression.regex import MAX_SUBJECT, Regex, dynamic

PATTERNS = [
    "a*b", "^a+$", r"\bfoo\b", "error.*time", r"(?i)stra\u00dfe|X", "a|b|", "(ab|cd)?e{2,3}$", r"[^a-c\d]+x",
    r"\d+\.?\d*$", "a$", "(?m)^b$", r"\Bx\B", ".*foo.*bar", "(?s)a.b", r"\Aab\Z", "(?:a|a)*b", "", "x{0,3}?y",
    "(?x) a  b # c", r"(?a)\w\b", "a(?i:B)c", r"[\w-]+@\w+", "^$", r"(?i)[^k]", "b*?$", "(?s).", "(a|ab)(c|bcd)",
]  # fmt: skip


@given(
    pattern=st.sampled_from(PATTERNS),
    text=st.text(st.sampled_from("aabbccdexyfok@Kk \n1.-é\u00dfS"), max_size=12),
)
@settings(max_examples=400, deadline=None)
def test_agrees_with_re(pattern: str, text: str) -> None:
    """A pattern that is accepted matches exactly where Python's own engine does."""
    assert Regex(pattern).search(text, [10**9, 0, None]) == bool(re.search(pattern, text))


@st.composite
def generated(draw: st.DrawFn, depth: int = 3) -> str:
    """Patterns over a small alphabet."""
    atom = st.sampled_from(["a", "b", ".", "[ab]", "[^a]", r"\w", r"\b", "^", "$", "c?", "b{1,2}"])
    if depth == 0:
        return draw(atom)
    inner = generated(depth=depth - 1)
    return draw(
        st.one_of(
            atom,
            st.builds("{}{}".format, inner, inner),
            st.builds("(?:{}|{})".format, inner, inner),
            st.builds("(?:{})*".format, inner),
            st.builds("({})+".format, inner),
            st.builds("(?:{})?".format, inner),
        )
    )


@given(pattern=generated(), text=st.text("abc\n", max_size=10))
@settings(max_examples=120, deadline=None)
def test_generated_patterns_agree_with_re(pattern: str, text: str) -> None:
    """Any pattern is either refused or means what it means to Python."""
    try:
        regex = Regex(pattern)
    except ValueError:
        return
    assert regex.search(text, [10**9, 0, None]) == bool(re.search(pattern, text))


@pytest.mark.parametrize(
    "pattern",
    ["(a+)+$", "(a*)*", "a*a*", r"\w+\d+", "(a+){2,3}", "(?:(?:ab)*c)+", r"(a)\1", "(?P<n>a)(?P=n)", "(?=a)", "(?!a)",
     "(?<=a)b", "(?<!a)b", "(a)?(?(1)b|c)", "(", "a**", "[", "a{99999}", "(a{1,100}){1,100}", "a(?i)b", "[[a]", "[a--b]", "\\"],
)  # fmt: skip
def test_refused(pattern: str) -> None:
    """What cannot be searched in linear time, or is ruled out by the language, is refused with a reason."""
    with pytest.raises(ValueError, match="."):
        Regex(pattern)


@pytest.mark.parametrize(
    "pattern",
    ["a*b", ".*foo.*bar", "(?:a|a)*b", "a.*a.*a.*b", "(a|aa|aaa)b$", "[^b]*b[^b]*b", r"(a?){20}a{20}b"],
)
@pytest.mark.parametrize("warm", [True, False])
def test_linear(pattern: str, warm: bool) -> None:
    """The worst text for a backtracking engine takes about a millisecond, then the answer or BUDGET."""
    regex = Regex(pattern)
    if warm:
        regex.warm()

    def once() -> float:
        fresh = regex if warm else Regex(pattern)

        def search() -> None:
            try:
                assert fresh.search("a" * MAX_SUBJECT, [WORK, 0, None]) is False
            except EvaluationError as error:
                assert error.code == "BUDGET"

        return cpu_seconds(search)

    limit = 0.004  # 1 ms is the aim; the rest is for a slow machine
    assert quickest(once, limit) < limit


def test_subject_limit() -> None:
    """A text above 4 KiB is BUDGET."""
    regex = Regex("b$")
    assert regex.search("a" * MAX_SUBJECT, [WORK, 0, None]) is False
    with pytest.raises(EvaluationError) as caught:
        regex.search("a" * (MAX_SUBJECT + 1), [WORK, 0, None])
    assert caught.value.code == "BUDGET"


def test_new_states_are_charged() -> None:
    """A pattern of many states cannot be unfolded for free."""
    regex = Regex("(a|b)*a" + "(a|b)" * 12 + "$")
    text = "".join(random.Random(1).choices("ab", k=4000))
    with pytest.raises(EvaluationError) as caught:
        regex.search(text, [WORK, 0, None])
    assert caught.value.code == "BUDGET"


def test_dynamic_patterns() -> None:
    """Patterns from values are kept, refused ones too, and long ones are BUDGET."""
    state = [WORK, 0, None]
    assert dynamic("a+b", state) is dynamic("a+b", state)
    for _ in range(2):
        with pytest.raises(EvaluationError) as caught:
            dynamic("(a+)+", [WORK, 0, None])
        assert caught.value.code == "INVALID_REGEX"
        assert "(a+)+" not in caught.value.message
    with pytest.raises(EvaluationError) as caught:
        dynamic("a" * 101, [WORK, 0, None])
    assert caught.value.code == "BUDGET"
    for number in range(200):
        dynamic(f"x{number}", [WORK, 0, None])


EXPLOSIVE = [
    *(r"(a+)+$", r"(a*)*", r"(a|aa)+", r"(\w+\s?)*", r"(a|b+)*c", r"(.*,)*x", r"([a-z]+)*\d", r"(a{1,99})+"),
    *(r"(a{1,10}){1,10}b", r"(x+x+)+y", r"((a?b?)*c?)*", r"^(([a-z])+.)+[A-Z]([a-z])+$", r"(\d+|\w)+!"),
    *(r"(?=(a+)+$)x", r"([^,]*,?)*$", r"(a|bc|bcd|d)*e", r"(?:.|\n|xy)*z", r"(a)(\1|a)*b"),
]
HARMLESS = [
    *(r"CUST-\d+", r"\d{3}-\d{2}-\d{4}", r"\b[A-Z]{2}\d{6}\b", r"\w+@\w+\.com", r"(?:[a-z]+\.)+internal"),
    *(r"(?:\d{1,3}\.){3}\d{1,3}", r"(?:[A-Za-z0-9+/]{4})*(?:==)?", r"(?<=token=)\w+", r"key=.*?;"),
    *(r"(?:\d+,)*\d+", r"(?:[a-f0-9]{32},?)+", r"(?i)secret\w*", r"([\"'])x\1", r"(\d{4}[ -]?){3}\d{4}"),
    *(
        r"a(?:b|c)*d",
        r"(?P<n>x)y(?P=n)",
        r".*",
        r"(a)?(?(1)b|c)",
        r"\"(?:[^\"\\]|\\.)*\"",
        r"(a|b){1,4}(a|b)",
    ),
]


@pytest.mark.parametrize("pattern", EXPLOSIVE)
def test_explosive_patterns_are_told(pattern: str) -> None:
    """A repeat that can go on in two ways with the same character could take exponential time."""
    assert may_explode(pattern) is True


@pytest.mark.parametrize("pattern", HARMLESS)
def test_harmless_patterns_are_told(pattern: str) -> None:
    """Patterns as people write them, whose repeats always know how to go on, could not."""
    assert may_explode(pattern) is False


def test_absence_in_long_texts() -> None:
    """Is_absent has no limit of length, and says no when it cannot know."""
    email = Regex(r"\w+@\w+")
    assert email.is_absent("a" * 50_000)
    assert not email.is_absent("a" * 50_000 + "@b")
    chance = random.Random(0)
    assert not Regex(r"[ab]*a[ab]{12}x").is_absent("".join(chance.choice("ab") for _ in range(20_000)))
