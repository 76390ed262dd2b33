"""Whatever a hook does, evalc goes on and says which hook, which case and why."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from evalc.diagnostics import Faults
from evalc.errors import ExitCode
from evalc.hooks.calls import Returned, call_all
from evalc.hooks.crew import CREW, take_told
from evalc.hooks.limits import Hook, HookFailed, Limits
from evalc.hooks.rows import prepare

LIMITS = Limits(seconds=1.0, memory=256 << 20, workers=2)
FOR = "\n    if case['n'] == 3:\n        "
"""The hook misbehaves on one case of five."""


def metric(folder: Path, text: str) -> Hook:
    (folder / "judges.py").write_text(text)
    return Hook("judges:judge", folder, "case", ("judges",))


def judged(folder: Path, body: str, head: str = "", limits: Limits = LIMITS) -> list[Returned]:
    """Five cases judged by a hook that runs `body` on the fourth, in order."""
    text = f"import os, sys\n{head}\ndef judge(case):{FOR}{body}\n    return case['n']\n"
    seen = [b'[{"n":%d},{}]' % n for n in range(5)]
    found = list(call_all(metric(folder, text), 5, seen.__getitem__, limits))
    return sorted(found, key=lambda one: one.at)


def values(found: list[Returned]) -> dict[int, object]:
    return {one.at: one.value for one in found if one.failure is None}


OTHERS = {0: 0.0, 1: 1.0, 2: 2.0, 4: 4.0}

FAULTS = {
    "sys.exit(0)": "it called `sys.exit(0)`",
    "sys.exit()": "it called `sys.exit()`",
    "raise KeyboardInterrupt": "KeyboardInterrupt",
    "raise GeneratorExit": "GeneratorExit",
    "os._exit(0)": "exit status 0",
    "os._exit(3)": "exit status 3",
    "os.kill(os.getpid(), 9)": "SIGKILL",
    "import ctypes; ctypes.string_at(1)": "SIGSEGV",
    "os.abort()": "SIGABRT",
    "os.closerange(3, 256)": "evalc's own channel",
    "scribble()": "evalc's own channel",
    "return 10**400": "not a finite number",
    "return 1e308": "beyond 1e+100",
    "return float('nan')": "not a finite number",
    "return -float('inf')": "not a finite number",
    "return 1j": "not a finite number",
    "return '1'": "not a finite number",
    "return None": "not a finite number",
    "return Bad()": "cannot be shown",
    "raise Bad()": "cannot be shown",
    "raise ValueError('\\udc80')": "\\udc80",
    "raise ValueError('x' * 10**7)": "xxx",
    "return judge(case)": "RecursionError",
    "return input()": "EOFError",
    "return sys.stdin.read()": "''",
    "while True: pass": "longer than 1 s",
    "__import__('time').sleep(60)": "longer than 1 s",
    "return Slow()": "longer than 1 s",
    "x = b'x' * (1 << 30)": "256M of memory",
    "case['x'] = [bytearray(4096) for _ in range(10**6)]": "256M of memory",
}
HEAD = """
def scribble():
    import stat
    for n in range(3, 256):
        if os.path.exists(f'/proc/self/fd/{n}') and stat.S_ISSOCK(os.fstat(n).st_mode):
            os.write(n, b'x' * 99)
class Bad(Exception):
    def __repr__(self): raise RuntimeError
    __str__ = __repr__
class Slow:
    def __float__(self):
        while True: pass
"""


@pytest.mark.parametrize("body", FAULTS)
def test_a_fault_of_one_case_is_told_of_that_case(tmp_path: Path, body: str) -> None:
    found = judged(tmp_path, body, HEAD)
    wrong = [one for one in found if one.failure is not None]
    assert [one.at for one in wrong] == [3]
    assert wrong[0].failure is not None and FAULTS[body] in wrong[0].failure.why
    whole = wrong[0].failure.hint is None
    assert values(found).items() <= OTHERS.items()
    assert not whole or values(found) == OTHERS


@pytest.mark.parametrize(
    "body", ["1 / 0", "while True: pass", "import ctypes; ctypes.string_at(1)"]
)
def test_the_line_is_told_where_it_raised_hung_or_crashed(tmp_path: Path, body: str) -> None:
    (wrong,) = [one.failure for one in judged(tmp_path, body) if one.failure is not None]
    assert wrong.notes[0].endswith("judges.py:5"), wrong


FINE = {
    "return True": 1.0,
    "return 3": 3.0,
    "return 0.1": 0.1,
    "import numpy; return numpy.float32(0.5)": 0.5,
    "import numpy; return numpy.float64(0.1)": 0.1,
    "import numpy; return numpy.array(2)": 2.0,
    "import fractions; return fractions.Fraction(1, 4)": 0.25,
    "print('{}', flush=True); return 1": 1.0,
    "os.write(1, b'x' * 10**6); return 1": 1.0,
    "os.close(0), os.close(1), os.close(2); return 1": 1.0,
    "os.chdir('/'); os.environ.clear(); sys.path.clear(); return 1": 1.0,
    "return os.waitpid(os.fork(), 0)[1] == 0": 1.0,
    "return os.waitpid(os.fork() or os._exit(9), 0)[1] >> 8 == 9": 1.0,
    "import multiprocessing as m; p = m.Pool(2); v = p.map(abs, [-1]); p.terminate(); return v[0]"
    "": 1.0,
    "import threading as t; t.Thread(target=input).start(); return 1": 1.0,
    "import subprocess; return len(subprocess.check_output(['echo', 'a']))": 2.0,
}


@pytest.mark.parametrize("body", FINE)
def test_what_does_no_harm_is_a_score(tmp_path: Path, body: str) -> None:
    found = judged(tmp_path, body)
    assert [one.failure for one in found] == [None] * 5
    assert values(found) == OTHERS | {3: FINE[body]}


def test_what_a_hook_prints_is_in_the_note_of_its_failure(tmp_path: Path) -> None:
    body = "print('seen'); os.write(2, b' and heard'); raise ValueError"
    (wrong,) = [one.failure for one in judged(tmp_path, body) if one.failure is not None]
    assert wrong.notes[-1] == 'it wrote: "seen\\n and heard"'


def test_what_a_hook_prints_while_nothing_is_wrong_is_told_once(tmp_path: Path) -> None:
    take_told()
    judged(tmp_path, "print('hello')")
    assert take_told() == ['`judges:judge` wrote to stdout or stderr: "hello"']
    assert take_told() == []


IMPORTS = {
    "sys.exit(0)": "it called `sys.exit(0)`",
    "os._exit(0)": "exit status 0",
    "os.kill(os.getpid(), 9)": "SIGKILL",
    "1 / 0": "ZeroDivisionError",
    "raise KeyboardInterrupt": "KeyboardInterrupt",
    "while True: pass": "longer than 1 s",
    "x = b'x' * (1 << 30)": "256M of memory",
    "print(": "SyntaxError",
    "import nowhere_at_all": "ModuleNotFoundError",
}


@pytest.mark.parametrize("line", IMPORTS)
def test_a_module_that_cannot_be_imported_is_told(tmp_path: Path, line: str) -> None:
    with pytest.raises(HookFailed) as caught:
        judged(tmp_path, "pass", head=line)
    assert caught.value.loading
    assert IMPORTS[line] in caught.value.failure.why


def test_after_five_ends_or_one_that_hangs_the_others_are_not_tried(tmp_path: Path) -> None:
    hook = metric(tmp_path, "import os\ndef judge(case):\n    os._exit(0)\n")
    found = list(call_all(hook, 1000, lambda n: b"[{},{}]", LIMITS))
    assert len(found) == 5
    hook = metric(tmp_path, "import time\ndef judge(case):\n    time.sleep(99)\n")
    assert len(list(call_all(hook, 1000, lambda n: b"[{},{}]", LIMITS))) == 1


def alive(mark: str) -> list[str]:
    """Processes whose command line holds a mark."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            text = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if entry.name.isdecimal() and mark.encode() in text and b"pytest" not in text:
            found.append(entry.name)
    return found


@pytest.mark.parametrize("session", ["False", "True"])
def test_nothing_that_a_hook_has_started_is_left_behind(tmp_path: Path, session: str) -> None:
    mark = f"600.{os.getpid()}"
    body = f"import subprocess; subprocess.Popen(['sleep', '{mark}'], start_new_session={session})"
    assert values(judged(tmp_path, body)) == OTHERS | {3: 3.0}
    until = time.monotonic() + 5
    while len(alive(mark)) != 1 and time.monotonic() < until:
        time.sleep(0.01)  # between its start and its `exec` it has no command line
    assert len(alive(mark)) == 1
    CREW.close()
    time.sleep(0.05)
    assert alive(mark) == []


ESCAPED = """if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                os.closerange(0, 256)
                os.execve('/bin/sleep', ['sleep', '{mark}'], {{}})
            os._exit(0)
        os.wait()"""
"""A daemon with an environment of its own: neither group, session nor mark tell whose it is."""


@pytest.mark.parametrize("end", ["", "os._exit(3)", "while True: pass"])
def test_a_daemon_that_a_hook_has_started_ends_with_it(tmp_path: Path, end: str) -> None:
    mark = f"601.{os.getpid()}"
    body = f"{ESCAPED.format(mark=mark)}\n        {end}"
    found = judged(tmp_path, body)
    if not end:
        until = time.monotonic() + 5
        while len(alive(mark)) != 1 and time.monotonic() < until:
            time.sleep(0.01)
        assert len(alive(mark)) == 1, found
    CREW.close()
    assert alive(mark) == []


def test_a_daemon_of_a_hook_ends_with_a_command_that_is_killed(tmp_path: Path) -> None:
    mark = f"602.{os.getpid()}"
    body = f"{ESCAPED.format(mark=mark)}\n        import time; time.sleep(99)"
    (tmp_path / "judges.py").write_text(
        f"import os\ndef judge(case):\n    if True:\n        {body}\n"
    )
    code = (
        "from pathlib import Path; from evalc.hooks.calls import call_all;"
        "from evalc.hooks.limits import Hook, Limits;"
        f"hook = Hook('judges:judge', Path({str(tmp_path)!r}), 'case', ('judges',));"
        "list(call_all(hook, 1, lambda n: b'[{},{}]', Limits(seconds=99)))"
    )
    process = subprocess.Popen([sys.executable, "-c", code])
    until = time.monotonic() + 60
    while len(alive(mark)) != 1 and time.monotonic() < until:
        time.sleep(0.01)
    assert len(alive(mark)) == 1
    process.kill()
    process.wait()
    until = time.monotonic() + 10
    while alive(mark) and time.monotonic() < until:
        time.sleep(0.01)
    assert alive(mark) == []


def test_a_slow_hook_is_called_in_several_processes_and_a_cheap_one_in_one(tmp_path: Path) -> None:
    CREW.close()
    slow = "import os, time\ndef judge(case):\n    time.sleep(0.1)\n    return os.getpid()\n"
    found = list(call_all(metric(tmp_path, slow), 40, lambda n: b"[{},{}]", Limits(workers=4)))
    assert len({one.value for one in found}) == 4
    cheap = "import os\ndef judge(case):\n    return os.getpid()\n"
    found = list(call_all(metric(tmp_path, cheap), 40, lambda n: b"[{},{}]", Limits(workers=4)))
    assert len({one.value for one in found}) == 1


def test_a_machine_that_starts_no_process_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    CREW.close()
    monkeypatch.setattr("sys.executable", "/nonexistent/python")
    with pytest.raises(Faults) as caught:
        judged(tmp_path, "pass")
    assert caught.value.diagnostics[0].code == "hook-not-started"
    assert caught.value.exit_code == ExitCode.FAILURE


def prepared(folder: Path, body: str, limits: Limits = LIMITS) -> str:
    (folder / "makers.py").write_text(f"def make(rows):\n    {body}\n")
    hook = Hook("makers:make", folder, "rows", ("makers",))
    return "".join(prepare(hook, b'[{"a":1},{"a":"\xc3\xa9"}]', limits))


def test_prepare_gives_the_lines_that_it_gave_in_this_process(tmp_path: Path) -> None:
    assert prepared(tmp_path, "return rows") == '{"a":1}\n{"a":"é"}\n'
    assert prepared(tmp_path, "yield from ({'b': float('nan'), 'c': rows[0]},)") == (
        '{"b":NaN,"c":{"a":1}}\n'
    )
    assert prepared(tmp_path, "return []") == ""
    many = prepared(tmp_path, "return [{'n': n, 't': 'x' * 99} for n in range(20000)]")
    assert len(many.splitlines()) == 20_000


ROWS = {
    "return [0] * 10**7": "row 0 of what it returned is `0`",
    "return 3": "`3`, not rows",
    "return None": "`None`, not rows",
    "return 'text'": "not rows",
    "return [{'a': '\\udc80'}]": "UnicodeEncodeError",
    "return [{'a': 10**5000}]": "ValueError",
    "import sys; sys.exit(0)": "sys.exit(0)",
    "import os; os._exit(0)": "exit status 0",
    "while True: yield {'a': 1}": "longer than 1 s",
    "while True: yield {'a': 'x' * 10**6}": "",
    "while True: pass": "longer than 1 s",
    "import os; os.closerange(3, 256); return rows": "channel",
    "import os, stat; [os.write(n, b'x' * 99) for n in range(3, 256) if os.path.exists("
    "f'/proc/self/fd/{n}') and stat.S_ISSOCK(os.fstat(n).st_mode)]; return rows": "channel",
}


@pytest.mark.parametrize("body", ROWS)
def test_a_prepare_that_fails_is_told(tmp_path: Path, body: str) -> None:
    with pytest.raises(HookFailed) as caught:
        prepared(tmp_path, body)
    assert not caught.value.loading
    assert ROWS[body] in caught.value.failure.why


def test_a_prepare_may_write_no_more_than_its_memory(tmp_path: Path) -> None:
    with pytest.raises(HookFailed) as caught:
        prepared(tmp_path, "while True: yield {'a': 'x' * 10**6}", Limits(60, 64 << 20, 1))
    assert "more than 64M of rows" in caught.value.failure.why
