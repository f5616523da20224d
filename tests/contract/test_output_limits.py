"""What a hit may weigh: bytes of an attribute and of a hit, variables, and how a cut is seen."""

from __future__ import annotations

import json
import threading
from typing import Any, Callable, Dict

import pytest
from tests.support.live import Live, TargetMaker
from tests.support.telemetry import settled_accounts

LiveWith = Callable[..., Live]

WIDE = {"maxDepth": 10, "maxProperties": 10_000, "maxStringLength": 65_536}


def one_hit(live: Live, program: Any, **fields: Any) -> Dict[str, Any]:
    """The attributes of the hit of one call of ``work``."""
    assert program.module
    live.tracepoint(program, "here", **fields)
    # The tests' own stack is deeper than what is shown of one.
    thread = threading.Thread(target=program.work)
    thread.start()
    thread.join()
    live.sink.wait_for(lambda: live.sink.events("probe.hit.snapshot"))
    (event,) = live.sink.events("probe.hit.snapshot")
    attributes: Dict[str, Any] = event["attributes"]
    return attributes


def variables(attributes: Dict[str, Any]) -> Dict[str, str]:
    prefix = "probe.variable."
    return {key[len(prefix) :]: value for key, value in attributes.items() if key.startswith(prefix)}


def weight(attributes: Dict[str, Any]) -> int:
    """Bytes of names and values, as back ends count them."""
    total = 0
    for name, value in attributes.items():
        values = value if isinstance(value, list) else [value]
        total += len(name.encode()) + sum(len(str(each).encode()) for each in values)
    return total


def test_many_variables(live_with: LiveWith, target: TargetMaker) -> None:
    """90 variables at most; those left out are counted, and the hit says that it was cut."""
    names = "\n".join(f"        v{n:03d} = {n}" for n in range(120))
    program = target(f"\n    def work():\n{names}\n        return 1  # TAG: here\n")
    seen = one_hit(live_with(), program, snapshot=WIDE)
    assert len(variables(seen)) == 90
    assert seen["probe.variables.omitted"] == 30
    assert seen["probe.truncated"] is True


def test_a_hit_that_fits_says_nothing_of_limits(live_with: LiveWith, target: TargetMaker) -> None:
    """Without a cut there is neither probe.truncated nor probe.variables.omitted."""
    program = target("\n    def work():\n        a, b = 1, 'two'\n        return a  # TAG: here\n")
    seen = one_hit(live_with(), program)
    assert variables(seen) == {"a": "1", "b": '"two"'}
    assert "probe.truncated" not in seen
    assert "probe.variables.omitted" not in seen


@pytest.mark.parametrize(
    ("letter", "protocol"),
    [(letter, "http") for letter in ("x", "é", "漢", "😀", "\\\\", "\\x01", "\\ud800")]
    + [("漢", "grpc"), ("\\ud800", "grpc")],
)
def test_every_cut_is_whole_json_of_two_thousand_bytes(
    live_over: LiveWith, target: TargetMaker, letter: str, protocol: str
) -> None:
    """Whatever the letters, a value is cut at a value's boundary, says so, and can be parsed."""
    program = target(
        f'''
        def work():
            text = "{letter}" * 5000
            items = ["{letter}" * 10 for _ in range(900)]
            table = {{"{letter}" * 3 + str(n): {{"k": "{letter}" * 9, "n": [n] * 3}} for n in range(300)}}
            deep = [[["{letter}" * 700], "{letter}" * 700], "{letter}" * 700]
            short = "{letter}" * 5
            return 1  # TAG: here
        '''
    )
    seen = one_hit(live_over(protocol, max_pause_ms=0), program, snapshot=WIDE)
    cut = variables(seen)
    assert all(len(value.encode()) <= 2000 for value in cut.values())
    values = {name: json.loads(value) for name, value in cut.items()}
    text = values["text"]
    assert (text["__tpd_type__"], text["__tpd_truncated__"]) == ("str", True)
    # Half a surrogate pair is shown as its escape, and counted so.
    assert text["__tpd_size__"] == (30_000 if letter == "\\ud800" else 5000)
    assert len(text["__repr__"]) > 100
    assert values["items"][-1] == {"__tpd_truncated__": True, "__tpd_size__": 900}
    assert all(type(item) in (str, dict) for item in values["items"])
    assert (values["table"]["__tpd_truncated__"], values["table"]["__tpd_size__"]) == (True, 300)
    assert isinstance(values["short"], str)
    assert seen["probe.truncated"] is True


def test_a_hit_weighs_thirty_two_kibibytes(live_with: LiveWith, target: TargetMaker) -> None:
    """2 MB of locals become 32 KiB; the variables that do not fit are counted."""
    names = "\n".join(f"        v{n:02d} = ['漢' * 1000] * 100" for n in range(60))
    program = target(f"\n    def work():\n{names}\n        return 1  # TAG: here\n")
    seen = one_hit(live_with(max_pause_ms=0), program, snapshot=WIDE)
    assert 28_000 < weight(seen) <= 32 * 1024
    assert 10 < len(variables(seen)) < 30
    assert seen["probe.variables.omitted"] == 60 - len(variables(seen))
    for value in variables(seen).values():
        json.loads(value)


def test_every_watch_arrives_however_large(live_with: LiveWith, target: TargetMaker) -> None:
    """Eight watches of the largest size each have their value and expression, and all stays within 32 KiB."""
    program = target("\n    def work():\n        a = 'x' * 60_000\n        return a  # TAG: here\n")
    watches = [f"a + '{'y' * 3000}{n}'" for n in range(8)]
    seen = one_hit(live_with(max_pause_ms=0), program, watch=watches, snapshot=WIDE)
    assert weight(seen) <= 32 * 1024
    for n in range(8):
        assert json.loads(seen[f"probe.watch.{n}"])
        assert seen[f"probe.watch.{n}.expression"].startswith("a + 'yyy")
    assert seen["probe.truncated"] is True


def test_limit_of_an_attribute_can_be_raised(live_with: LiveWith, target: TargetMaker) -> None:
    """DEBUGIN_MAX_ATTRIBUTE_BYTES is for sinks that take more: then a value is there whole."""
    program = target("\n    def work():\n        a = 'x' * 50_000\n        return a  # TAG: here\n")
    seen = one_hit(live_with(max_attribute_bytes=60_000, max_pause_ms=0), program, snapshot=WIDE)
    assert json.loads(variables(seen)["a"]) == "x" * 50_000


def test_logpoint_of_any_size_arrives(live_with: LiveWith, target: TargetMaker) -> None:
    """A record keeps the 32 KiB of a hit, its body and its attributes together."""
    live = live_with(max_pause_ms=0)
    program = target("\n    def work():\n        a = '漢' * 20_000\n        return a  # TAG: here\n")
    assert program.module
    live.logpoint(program, "here", "{a} " * 60)
    program.work()
    live.sink.wait_for(lambda: live.logs("probe.hit.logpoint"))
    (log,) = live.logs("probe.hit.logpoint")
    assert 28_000 < len(log["body"].encode()) + weight(log["attributes"]) <= 32 * 1024
    assert len(log["attributes"]) <= 128
    assert all(len(str(value).encode()) <= 2000 for value in log["attributes"].values())
    assert log["attributes"]["probe.truncated"] is True
    assert settled_accounts(live)["sent"] == 1


def test_limits_hold_for_what_names_the_probe(live_with: LiveWith, target: TargetMaker) -> None:
    """Condition, tags and names are attributes like the others: 2 000 bytes, whatever their number."""
    name = "n" * 1500
    program = target(f"\n    def work():\n        {name} = 1\n        return {name}  # TAG: here\n")
    tags = [f"{n:02d}" + "漢" * 62 for n in range(50)]
    condition = "1 == 1 or " + " or ".join(["2 == 3"] * 300)
    seen = one_hit(live_with(), program, tags=tags, condition=condition[: condition.rindex(" or ")])
    assert sum(len(tag.encode()) for tag in seen["probe.tags"]) <= 2000
    assert len(seen["probe.condition"].encode()) <= 2000
    assert seen["probe.truncated"] is True
    assert all(len(key.encode()) <= 300 for key in seen)
