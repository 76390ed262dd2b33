"""The children themselves: they end with their parent, ask it, and are not believed."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from evalc.errors import PRECEDENCE, ExitCode, foremost
from evalc.hooks.calls import call_all
from evalc.hooks.crew import CREW, Crew
from evalc.hooks.frames import HEADER, LONGEST, MAGIC, BadFrame, Inbox, frame
from evalc.hooks.limits import Hook, Limits
from workspaces import SUMS, Workspace, sum_rows

SLOW = """\
import time
def judge(case):
    open(__file__ + '.began', 'a').write('x')
    time.sleep(60)
"""


def hook(folder: Path, text: str) -> Hook:
    (folder / "judges.py").write_text(text)
    return Hook("judges:judge", folder, "case", ("judges",))


def test_frames_come_out_as_they_went_in_however_they_are_cut() -> None:
    sent = [(b"C", b"{}"), (b"R", b""), (b"D", bytes(range(256)) * 9)]
    stream = b"".join(frame(kind, body) for kind, body in sent)
    for size in (1, 7, len(stream)):
        inbox, found = Inbox(), []
        for at in range(0, len(stream), size):
            found += inbox.take(stream[at : at + size])
        assert found == sent


@pytest.mark.parametrize(
    "bad",
    [
        b"hello there, this is no frame",
        frame(b"Z", b"{}"),
        frame(b"C", b"{}")[:-1] + b"x",
        HEADER.pack(b"evh9", b"C", 0, 0),
        HEADER.pack(MAGIC, b"C", LONGEST + 1, 0),
    ],
)
def test_what_is_no_frame_is_refused(bad: bytes) -> None:
    with pytest.raises(BadFrame):
        list(Inbox().take(bad))


FORGED = [
    '{"batch": 1, "values": [7.0], "failed": [], "spent": "x"}',
    '{"batch": 99, "values": [7.0], "failed": [], "spent": 0.1}',
    '{"batch": 1, "values": [7.0, 8.0, 9.0], "failed": [], "spent": 0.1}',
    '{"batch": 1, "values": [NaN], "failed": [[0, 1]], "spent": 0.1}',
    "[1]",
    "{" * 5000,
]


@pytest.mark.parametrize("answer", FORGED)
def test_a_forged_answer_is_a_failure_of_the_hook(tmp_path: Path, answer: str) -> None:
    forge = (
        "from evalc.hooks import child\ndef judge(case):\n"
        f"    child._CHILD[0]._channel.send(b'R', {answer.encode()!r})\n    return 1\n"
    )
    (found,) = call_all(hook(tmp_path, forge), 1, lambda _: b"[{},{}]", Limits())
    assert found.failure is not None and "channel" in found.failure.why


@pytest.mark.parametrize("value", ["NaN", "1e999", "true", "1", '"1"', "null", "1e200"])
def test_a_forged_value_is_checked_again(tmp_path: Path, value: str) -> None:
    forge = (
        "from evalc.hooks import child\ndef judge(case):\n"
        f'    text = \'{{"batch": 1, "values": [{value}], "failed": [], "spent": 0.1}}\'\n'
        "    child._CHILD[0]._channel.send(b'R', text.encode())\n"
        "    import time; time.sleep(60)\n"
    )
    (found,) = call_all(hook(tmp_path, forge), 1, lambda _: b"[{},{}]", Limits())
    assert found.failure is not None and found.value is None


def test_a_hook_asks_evalc_while_other_calls_wait(tmp_path: Path) -> None:
    asking = (
        "from evalc.hooks.child import ask\ndef judge(case):\n    return ask('double', case['n'])\n"
    )
    seen = [b'[{"n":%d},{}]' % n for n in range(40)]
    answers = {"double": lambda value: 2 * value}
    found = call_all(hook(tmp_path, asking), 40, seen.__getitem__, Limits(), answers)
    assert {one.at: one.value for one in found} == {n: 2.0 * n for n in range(40)}
    (refused,) = call_all(hook(tmp_path, asking), 1, seen.__getitem__, Limits())
    assert refused.failure is not None and "answers no `double` here" in refused.failure.why


def test_children_that_nobody_wants_any_more_are_killed(tmp_path: Path) -> None:
    CREW.close()
    text = "import os, time\ndef judge(case):\n    time.sleep(case['n'])\n    return os.getpid()\n"
    seen = [b'[{"n":0},{}]', b'[{"n":60},{}]']
    calls = call_all(hook(tmp_path, text), 2, seen.__getitem__, Limits(workers=1))
    pid = next(calls).value
    assert isinstance(pid, float) and Path(f"/proc/{int(pid)}").exists()
    calls.close()
    assert not Path(f"/proc/{int(pid)}").exists()


def children_of(folder: Path) -> list[int]:
    """Processes that work in a folder."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdecimal() and (entry / "cwd").readlink() == folder:
                found.append(int(entry.name))
        except OSError:
            continue
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_children_end_with_evalc_however_it_ends(workspace: Workspace, number: int) -> None:
    workspace.write(SUMS)
    workspace.rows("sums.jsonl", sum_rows(3))
    assert workspace.call("exec", "specs", "--no-report").code == 0
    workspace.write(SUMS.replace("exact_match", "judges:judge"))
    (workspace.specs / "judges.py").write_text(SLOW)
    process = workspace.start("report", "specs")
    while not list(workspace.specs.glob("*.began")) and process.poll() is None:
        time.sleep(0.01)
    assert len(children_of(workspace.root)) >= 2
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    codes = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -9}
    assert process.returncode == codes[number], err
    assert "Traceback" not in err
    until = time.monotonic() + 5
    while children_of(workspace.root) and time.monotonic() < until:
        time.sleep(0.01)
    assert children_of(workspace.root) == []


def test_the_foremost_code_is_the_one_that_has_to_be_seen_to_first() -> None:
    assert [int(code) for code in PRECEDENCE] == [130, 143, 2, 1, 7, 3, 4]
    assert foremost([ExitCode.GATE_FAILED, ExitCode.CODE_FAILED]) == ExitCode.CODE_FAILED
    assert foremost([ExitCode.CODE_FAILED, ExitCode.USAGE]) == ExitCode.USAGE


def test_a_child_is_used_again_and_an_edit_is_seen(tmp_path: Path) -> None:
    CREW.close()
    text = "import os\ndef judge(case):\n    return os.getpid() + {}\n"

    def pid(more: int) -> int:
        own = hook(tmp_path, text.format(more))
        (found,) = call_all(own, 1, lambda _: b"[{},{}]", Limits())
        assert isinstance(found.value, float)
        return int(found.value) - more

    assert pid(0) == pid(1) == pid(0) != os.getpid()


def test_a_child_that_is_expected_is_the_one_that_is_taken() -> None:
    crew = Crew()
    crew.expect()
    (expected,) = crew._idle
    try:
        assert crew.take() is expected
    finally:
        expected.kill()


def test_a_first_call_that_takes_longest_starts_no_second_child(tmp_path: Path) -> None:
    text = (
        "import os, time\nSEEN = []\n"
        "def judge(case):\n"
        "    if not SEEN:\n        time.sleep(0.003)\n"
        "    SEEN.append(1)\n    return os.getpid()"
    )
    found = list(call_all(hook(tmp_path, text), 5000, lambda _: b"[{},{}]", Limits(workers=4)))
    assert len(found) == 5000
    assert len({one.value for one in found}) == 1
