"""The parts of the benchmarks that read what others write."""

from __future__ import annotations

import io
import pathlib
from typing import Any, Dict

import pytest
from tests.benchmarks import instructions, table
from tests.benchmarks.dap_client import lines_told
from tests.benchmarks.measure import counted_rounds
from tests.support.dap import framed, read_message

PROFILE = """# callgrind format
version: 1
creator: callgrind-3.19.0
pid: 26163
cmd:  python -m tests.benchmarks.measure plain g
part: 2
thread: 1

desc: Timerange: Basic block 11366691 - 11527618
desc: Trigger: --dump-before=ctermid

positions: line
events: Ir
summary: 735674

fn=(1) f: g
0 735674

totals: 735674
"""


def _output(text: str, category: str = "stdout") -> Dict[str, Any]:
    return {"type": "event", "event": "output", "body": {"category": category, "output": text}}


def test_messages_come_out_of_the_stream_as_they_went_in() -> None:
    """Messages of the Debug Adapter Protocol are told apart by their length in bytes, one after the other."""
    messages = [{"seq": 1, "command": "threads"}, {"text": "Zoë\r\n\r\n"}, {}]
    stream = io.BytesIO(b"".join(framed(message) for message in messages))
    assert [read_message(stream) for _ in messages] == messages
    with pytest.raises(EOFError):
        read_message(stream)


def test_headers_may_be_in_any_case_and_there_may_be_more() -> None:
    """Only the length is looked for in the headers, however it is written."""
    text = '{"a": "ä"}'.encode()
    head = b"content-type: x\r\ncontent-LENGTH:%d\r\n\r\n" % len(text)
    assert read_message(io.BytesIO(head + text)) == {"a": "ä"}


@pytest.mark.parametrize("kept", [4, 20, -1])
def test_a_message_that_ends_too_early_is_no_message(kept: int) -> None:
    """Cut in its head or in its text, a message is the end of the stream."""
    with pytest.raises(EOFError):
        read_message(io.BytesIO(framed({"seq": 1})[:kept]))


def test_lines_of_logpoints_are_counted_and_no_others() -> None:
    """Each line of standard output is a hit, of those that come in one event too; the debugger's own are not."""
    assert lines_told(_output("qty=5\n")) == ["qty=5"]
    assert lines_told(_output("qty=5\nqty=6\n")) == ["qty=5", "qty=6"]
    assert lines_told(_output("ptvsd\n", "telemetry")) == []
    assert lines_told({"type": "event", "event": "thread", "body": {}}) == []
    assert lines_told({"type": "response", "request_seq": 1}) == []


def test_the_total_of_a_profile() -> None:
    """What callgrind counted is its total, or its summary where there is none."""
    assert instructions.total(PROFILE) == 735674
    assert instructions.total(PROFILE.replace("totals: 735674\n", "").replace("735674", "12")) == 12


@pytest.mark.parametrize(
    "profile",
    ["", PROFILE.replace("events: Ir", "events: Dr Ir"), "events: Ir\n", "events: Ir\nfn=(1) a: b\n"],
)
def test_a_profile_of_something_else_is_refused(profile: str) -> None:
    """A profile that is cut off, or counts something else first, gives no number."""
    with pytest.raises(instructions.CannotCount):
        instructions.total(profile)


def test_parts_are_the_first_threads_between_marks(tmp_path: pathlib.Path) -> None:
    """The parts are in their order, without those of other threads and without what came after the last mark."""
    for number in range(1, instructions.PARTS + 1):
        text = f"events: Ir\ntotals: {number * 100}\n"
        (tmp_path / f"part.{number}-01").write_text(text, "ascii")
        (tmp_path / f"part.{number}-02").write_text("events: Ir\ntotals: 7\n", "ascii")
    (tmp_path / "part-01").write_text("events: Ir\ntotals: 9\n", "ascii")
    assert instructions.part_totals(str(tmp_path)) == [100, 200, 300, 400, 500, 600]


def test_another_number_of_marks_is_refused(tmp_path: pathlib.Path) -> None:
    """If anything else called the function that marks, or it was not seen, there is no number."""
    (tmp_path / "part.1-01").write_text(PROFILE, "ascii")
    with pytest.raises(instructions.CannotCount, match="1 parts instead of 6"):
        instructions.part_totals(str(tmp_path))


def test_where_valgrind_cannot_run_there_is_a_reason(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without Valgrind, and with one that does not run this interpreter, the reason is told."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert instructions.why_not() == "valgrind is not installed"
    valgrind = tmp_path / "valgrind"
    valgrind.write_text("#!/bin/sh\necho 'unhandled instruction bytes' >&2\nexit 132\n", "ascii")
    valgrind.chmod(0o755)
    assert instructions.why_not() == "not under valgrind: unhandled instruction bytes"


def test_what_a_call_takes_is_the_difference_by_calls() -> None:
    """What is executed once, before or after the calls, is in both numbers, and so in neither."""
    once, each = 5_000, 37
    executed = [once + 100 * each, once + 300 * each]
    assert instructions.per_call([100, 300], executed) == each
    with pytest.raises(instructions.CannotCount):
        instructions.per_call([100, 100], executed)


@pytest.mark.parametrize("rounds", [1, 20, 400, 20_000])
def test_two_numbers_of_calls_differ(rounds: int) -> None:
    """However few calls a figure is timed with, there are two numbers of them to count."""
    few, many = counted_rounds(rounds)
    assert 1 <= few < many


def test_instructions_are_a_column_where_they_were_counted() -> None:
    """Each system's column is followed by its instructions; without any, there is none."""
    report: Dict[str, Any] = {
        "systems": ["plain", "native"],
        "figures": {"g": {"plain": "(1 µs)", "native": "2 µs"}, "h": {"plain": "–", "native": "3 ms"}},
        "instructions": {"g": {"plain": "(10 a call)", "native": "20"}},
    }
    assert table.rendered(report).splitlines() == [
        "| figure | plain | instructions | native | instructions |",
        "|---|---|---|---|---|",
        "| g | (1 µs) | (10 a call) | 2 µs | 20 |",
        "| h | – | – | 3 ms | – |",
    ]
    bare = table.rendered({**report, "instructions": {}})
    assert bare.splitlines()[0] == "| figure | plain | native |"


def test_what_is_told_of_several_runs() -> None:
    """Times are the least of all runs, above the same process without a probe; rates are the most."""
    row = {
        "plain": [{"bare": 900, "probed": 1000}, {"bare": 1100, "probed": 950}],
        "native": [{"bare": 1000, "probed": 4000}, {"bare": 900, "probed": 3900}],
        "absent": [],
    }
    assert table.cost("g logpoint", row, "native") == "3.00 µs"
    assert table.cost("g logpoint", row, "plain") == "(0.95 µs a call)"
    assert table.cost("a idle", row, "native") == "4.11"
    assert table.cost("g logpoint", row, "absent") == table.NOTHING
    assert table.executed("g logpoint", row, "native") == "3000"
    rates = [{"rates": {"2": 1000.0}, "cpu": {"2": 4.0}}, {"rates": {"2": 3000.0}, "cpu": {"2": 5.0}}]
    assert table.rate(rates, 2) == "3.0 k/s (4.00 µs)"
    assert table.rate([], 2) == table.NOTHING
    assert table.install([{"kept": 2.0}, {"kept": 1.0}], "native", "kept", "KiB") == "1.00 KiB"
    assert table.install([{"kept": 2.0}], "native", "peak", "KiB") == table.NOTHING
