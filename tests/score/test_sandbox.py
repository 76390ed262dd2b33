"""Programs that try to pass themselves, and what a sandbox hides. They really run."""

from __future__ import annotations

import os
import shutil
import socket
import textwrap
from pathlib import Path

import pytest
from cell_builders import generate_cell
from cheats import MORE

from evalc.diagnostics import Faults
from evalc.score import CodeSettings, Scoring, score_cell
from evalc.score.metrics.code import program_scorer
from evalc.score.programs import Outcome, run_program
from evalc.score.sandbox import bubblewrap

CHEATS = {
    "leaves": "import os; os._exit(0)",
    "exits": "import sys; sys.exit(0)",
    "raises": "raise SystemExit",
    "kills its parent": "import os, signal; os.kill(os.getppid(), signal.SIGKILL)",
    "writes every descriptor": """
        import os
        for fd in range(64):
            try: os.write(fd, b"\\n" * 40)
            except OSError: pass
        os._exit(0)
    """,
    "closes every descriptor": "import os; os.closerange(0, 64); os._exit(0)",
    "reads frames": """
        import os, sys
        frame = sys._getframe()
        while frame:
            for value in [*frame.f_locals.values(), *frame.f_globals.values()]:
                if isinstance(value, (str, bytes)):
                    for fd in range(3, 64):
                        try: os.write(fd, value if isinstance(value, bytes) else value.encode())
                        except OSError: pass
            frame = frame.f_back
        os._exit(0)
    """,
    "becomes what the end becomes": """
        import sys, os
        os.execv(sys._getframe(1).f_globals["sys"].argv[0], ["x"])
    """,
    "becomes it at once": "import os; os.execv('/usr/bin/sleep', ['sleep', '60'])",
    "becomes it in a thread": """
        import _thread, os, time
        _thread.start_new_thread(os.execv, ("/usr/bin/sleep", ["sleep", "60"]))
        time.sleep(0.5)
        os._exit(0)
    """,
    "runs the runner again in a thread": """
        import _thread, os, sys, time
        outer = sys._getframe(1)
        own = {**outer.f_globals, "_guard": print, "exec": print, "open": None}
        def end():
            exec(outer.f_code, own)
        _thread.start_new_thread(exec, (outer.f_code, own))
        time.sleep(0.5)
        os._exit(0)
    """,
    "becomes it after the end of Python": """
        import atexit, os
        atexit.register(os.execv, "/usr/bin/sleep", ["sleep", "60"])
        raise SystemExit(0)
    """,
    "jumps to the end": """
        import sys
        outer = sys._getframe(1)
        def trace(frame, event, argument):
            try: frame.f_lineno = len(open(__file__).read())
            except ValueError: pass
            return trace
        outer.f_trace = trace
        sys.settrace(trace)
        raise SystemExit
    """,
    "replaces builtins": """
        import builtins, sys
        outer = sys._getframe(1).f_globals
        outer["_leave"] = outer["_write"] = lambda *_: None
        builtins.PermissionError = builtins.BaseException = ValueError
        raise SystemExit
    """,
    "searches objects": "import gc; gc.get_objects(); raise SystemExit",
    "reads memory": "import ctypes; ctypes.string_at(id(1), 8); raise SystemExit",
    "calls exec by ctypes": """
        import ctypes
        ctypes.CDLL(None).execl(b"/usr/bin/sleep", b"sleep", b"60", None)
    """,
    "writes its memory": "open('/proc/self/mem', 'r+b'); raise SystemExit",
    "leaves by a signal": """
        import os, signal, time
        signal.signal(signal.SIGALRM, lambda *_: os._exit(0))
        signal.alarm(1)
        time.sleep(30)
    """,
    "forks": "import os\nwhile True: os.fork()",
    "skips by a thread": """
        import os, threading
        threading.Thread(target=lambda: os._exit(0)).start()
        import time; time.sleep(30)
    """,
}


@pytest.fixture(params=["bwrap", "none"])
def box(request: pytest.FixtureRequest) -> str:
    """Both places where programs run; the sandbox has to be there in CI."""
    if request.param == "bwrap" and not bubblewrap().works:
        reason = f"no sandbox: {bubblewrap().fault}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    found: str = request.param
    return found


@pytest.fixture
def boxed(box: str) -> None:
    if box == "none":
        pytest.skip("a sandbox is needed")


def run(source: str, box: str, **settings: float) -> Outcome:
    limits = CodeSettings(**{"timeout": 20.0, **settings})  # type: ignore[arg-type]
    return run_program(textwrap.dedent(source), limits, box)  # type: ignore[arg-type]


@pytest.mark.parametrize("cheat", [*CHEATS, *MORE])
def test_a_program_cannot_pass_itself(cheat: str, box: str) -> None:
    source = {**CHEATS, **MORE}[cheat]
    outcome = run(textwrap.dedent(source).strip() + "\nassert False, 'the test'", box)
    assert outcome.ended == "failed", outcome


@pytest.mark.parametrize(
    "source",
    ["pass", "import ctypes; assert ctypes.c_int32(1 << 31).value < 0", "import numpy",
     "import threading, time; threading.Thread(target=time.sleep, args=(60,)).start()",
     "import sys; assert sys.stdin.read() == ''; sys.stdin.close(); sys.stdout.close()",
     "import subprocess, multiprocessing, traceback, logging",
     "import collections; collections.namedtuple('P', 'x')(1)",
     "open('a', 'w').write('b'); assert open('a').read() == 'b'"],
)  # fmt: skip
def test_a_program_that_is_right_passes(source: str, box: str) -> None:
    assert run(source, box) == Outcome("passed")


@pytest.mark.parametrize(
    "hidden",
    [__file__, "/proc/1/environ", "/run", "/etc/passwd", str(Path.home() / ".ssh"), "/var", "/sys"],
)
def test_a_sandbox_hides_what_is_not_a_programs(hidden: str, box: str, boxed: None) -> None:
    assert run(f"import os; assert not os.path.exists({hidden!r})", box).passed


def test_a_sandbox_is_read_only_but_for_a_home_that_goes_away(box: str, boxed: None) -> None:
    source = """
        import os, sys
        for place in ("/", "/usr", "/etc", sys.prefix):
            try: open(os.path.join(place, "x"), "w")
            except OSError: continue
            raise ValueError(place)
        open(os.path.expanduser("~/x"), "w"), open("/tmp/evalc-sandbox-test", "w")
    """
    assert run(source, box).passed
    assert not Path("/tmp/evalc-sandbox-test").exists()


def test_a_sandbox_has_no_network_even_past_the_guard(box: str, boxed: None) -> None:
    """The guard is left by a new interpreter, which a module that was there before starts."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.5)
        port = server.getsockname()[1]
        source = f"import socket; s = socket.socket(); s.connect_ex(('127.0.0.1', {port}))"
        assert not run(source, box).passed
        with pytest.raises(TimeoutError):
            server.accept()


def test_without_a_sandbox_programs_run_only_when_that_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cell = generate_cell([["pass"]], [None])
    scoring = Scoring(("code_pass@1",), code=CodeSettings("{{ completion }}"))
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(Faults) as caught:
        score_cell(cell, scoring, allow_code_execution=True)
    assert caught.value.diagnostics[0].code == "no-sandbox"
    assert "--sandbox none" in (caught.value.diagnostics[0].hint or "")
    scores = score_cell(cell, scoring, allow_code_execution=True, sandbox="none")
    assert scores.columns["code_pass@1"].values.tolist() == [1]


def test_a_sandbox_that_does_not_work_is_none_and_says_why(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    said = "no permission to make a namespace"
    (tmp_path / "bwrap").write_text(f"#!/bin/sh\necho '{said}' >&2\nexit 1\n")
    (tmp_path / "bwrap").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not bubblewrap().works
    assert bubblewrap().fault == said


def test_outcomes_without_a_sandbox_are_known_as_such() -> None:
    settings = CodeSettings()
    keys = {program_scorer(settings, box).key(b"pass") for box in ("bwrap", "none")}
    assert len(keys) == 2


def test_a_value_that_equals_all_others_is_believed(box: str) -> None:
    """What cannot be decided beside the program: its test asks the value, and the value answers."""
    source = """
        class Same:
            def __eq__(self, other): return True
        def add(a, b): return Same()
        assert add(1, 2) == 3
    """
    assert run(source, box).passed


@pytest.mark.parametrize("end", ["pass", "assert False", "import os; os._exit(0)"])
def test_where_there_is_no_proc_another_way_tells_what_a_process_runs(
    end: str, tmp_path: Path
) -> None:
    outcome = run_program(end, CodeSettings(timeout=20.0), proc=tmp_path / "proc")
    assert outcome.ended == ("passed" if end == "pass" else "failed")


def test_where_nothing_tells_what_a_process_runs_no_outcome_is_invented(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Faults) as caught:
        run_program("pass", CodeSettings(timeout=20.0), proc=tmp_path / "proc")
    found = caught.value.diagnostics[0]
    assert found.code == "program-not-started" and "`ps`" in found.message


def test_there_is_something_to_end_with() -> None:
    assert shutil.which("sleep")
