"""Programs that a model wrote really run here, in child interpreters."""

from __future__ import annotations

import gzip
import json
import socket
import sys
import textwrap
import time
from pathlib import Path

import pytest
from cell_builders import generate_cell

from evalc.diagnostics import Faults
from evalc.score import CodeSettings, Scoring, needs_code_execution, programs, score_cell
from evalc.score.programs import Outcome, assemble, packages_in, run_program, run_programs

HUMANEVAL = "{{ prompt }}{{ completion }}\n{{ test }}\ncheck({{ entry_point }})"
ROW = {
    "prompt": "def double(x):\n",
    "test": "def check(f):\n    assert f(3) == 6\n",
    "entry_point": "double",
}
RIGHT, WRONG = "    return 2 * x", "    return 3 * x"


def run(source: str, timeout: float = 20.0, **settings: int) -> Outcome:
    return run_program(textwrap.dedent(source), CodeSettings(timeout=timeout, **settings))


def test_a_program_that_reaches_its_end_passes() -> None:
    assert run("assert 1 + 1 == 2").passed


def test_a_program_that_raises_fails_and_says_why() -> None:
    assert run("assert 1 + 1 == 3, 'sum'") == Outcome("failed", "AssertionError: sum")
    assert run("def f(:").detail.startswith("SyntaxError")


@pytest.mark.parametrize("leave", ["import sys; sys.exit(0)", "import os; os._exit(0)", "exit()"])
def test_leaving_early_does_not_pass(leave: str) -> None:
    assert run(f"{leave}\nassert False").ended == "failed"


def test_a_program_that_does_not_end_times_out() -> None:
    assert run("while True: pass", timeout=0.5).ended == "timed out"
    assert run("import time; time.sleep(60)", timeout=0.5).ended == "timed out"


def test_a_memory_hog_fails() -> None:
    outcome = run("x = bytearray(1 << 30)", memory_mb=512)
    assert outcome.ended == "failed"
    assert outcome.detail.startswith("MemoryError")


def test_a_big_file_fails() -> None:
    outcome = run("open('big', 'wb').write(b'0' * (8 << 20))", file_mb=1)
    assert outcome.ended == "failed"


def test_endless_output_goes_nowhere() -> None:
    assert run("for _ in range(10000): print('x' * 1000)").passed


def test_a_program_works_in_a_folder_of_its_own_that_is_removed(tmp_path: Path) -> None:
    source = """
        import os
        open("note.txt", "w").write("x")
        raise SystemExit(os.getcwd())
    """
    folder = run(source).detail.removeprefix("SystemExit: ")
    assert Path(folder) != Path.cwd()
    assert not Path(folder).exists()


def test_a_program_does_not_see_the_callers_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVALC_TEST_SECRET", "x")
    assert run("import os; assert 'EVALC_TEST_SECRET' not in os.environ").passed


def test_a_program_reads_no_input() -> None:
    assert run("import sys; assert sys.stdin.read() == ''").passed


@pytest.mark.parametrize(
    "act",
    [
        "import os; os.fork()",
        "import subprocess; subprocess.run(['true'])",
        "import os; os.system('true')",
        "import os, signal; os.kill(os.getppid(), signal.SIGTERM)",
    ],
)
def test_the_guard_refuses_new_processes_and_signals(act: str) -> None:
    assert run(act).detail.startswith("PermissionError")


def test_a_fork_bomb_fails_and_leaves_nothing_behind() -> None:
    source = """
        import multiprocessing, time
        if __name__ == "__main__":
            for _ in range(50):
                multiprocessing.Process(target=time.sleep, args=(60,)).start()
    """
    assert run(source).ended == "failed"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_process_that_gets_past_the_guard_dies_with_its_group() -> None:
    source = """
        from multiprocessing.util import spawnv_passfds
        child = spawnv_passfds(b"/bin/sleep", [b"sleep", b"60"], [])
        raise SystemExit(child)
    """
    detail = run(source).detail
    child = int(detail.removeprefix("SystemExit: "))
    until = time.monotonic() + 30
    while _runs(child) and time.monotonic() < until:
        time.sleep(0.02)
    assert not _runs(child)


def _runs(pid: int) -> bool:
    """Whether the process is there and no zombie; without the right to fork there is none (-1)."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_the_guard_refuses_connections() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        outcome = run(f"import socket; socket.create_connection(('127.0.0.1', {port}))")
    assert outcome.detail.startswith("PermissionError")


def test_outcomes_keep_the_order_of_the_programs() -> None:
    sources = ["pass", "1/0", "import time; time.sleep(0.2)", "raise KeyError"]
    outcomes = run_programs(sources, CodeSettings(timeout=20))
    assert [outcome.passed for outcome in outcomes] == [True, False, True, False]


def test_an_outcome_lasts_unless_the_machine_may_have_made_it() -> None:
    """Only these are kept: what chance or a busy machine gave is tried again."""
    assert run("pass").lasting
    assert run("assert False").lasting
    assert run("import os; os._exit(3)").lasting
    assert not run("import time; time.sleep(60)", timeout=0.5).lasting
    assert not run("raise MemoryError").lasting
    assert not run("raise OSError(28, 'No space left on device')").lasting
    assert not run("import signal; signal.raise_signal(9)").lasting


def test_a_program_that_computes_until_its_end_owns_its_time_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Even on a busy machine some processor time is its own; how much counts is a threshold."""
    monkeypatch.setattr(programs, "_OWN_TIME", 0.05)
    assert run("while True: pass", timeout=2).lasting


def test_an_interpreter_that_does_not_start_is_a_fault_and_no_outcome(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(programs, "_CHILD", tmp_path / "absent.py")
    with pytest.raises(Faults) as caught:
        run("pass")
    assert caught.value.diagnostics[0].code == "program-not-started"
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no-python"))
    with pytest.raises(Faults) as caught:
        run("pass")
    assert caught.value.diagnostics[0].code == "program-not-started"


def test_the_packages_that_a_program_may_import_are_read_off_its_words() -> None:
    source = "from typing import List\nimport os, numpy as np\ndef f():\n    import absent_one\n"
    found = dict(packages_in(source))
    assert found["numpy"].startswith("numpy ")
    assert found["absent_one"] == "absent"
    assert "os" not in found and "typing" not in found
    assert packages_in("def f(): pass") == []


@pytest.mark.parametrize(
    "program",
    [
        "import os, \\\n    numpy",
        "from \\\n    numpy import array",
        "__import__('numpy')",
        "import importlib\nimportlib.import_module(\n    'numpy',\n)",
        "name = 'numpy'\nnp = __import__(name)",
        "exec('import' + ' numpy')",
    ],
)
def test_an_import_may_be_cut_in_lines_or_be_a_call(program: str) -> None:
    assert dict(packages_in(program))["numpy"].startswith("numpy ")


def test_a_program_is_rendered_from_the_row_and_the_completion() -> None:
    case = {"id": "c", "row": ROW, "prompt": "unused", "target": "t"}
    program = assemble(HUMANEVAL, case, RIGHT, "humaneval")
    assert program == f"{ROW['prompt']}{RIGHT}\n{ROW['test']}\ncheck(double)"
    assert assemble("{{ target }}{{ completion }}", case, "{{ x }}", "t") == "t{{ x }}"


def test_a_program_that_names_an_absent_column_is_a_fault() -> None:
    with pytest.raises(Faults) as caught:
        assemble("{{ nothing }}", {"id": "c", "row": {}}, "", "humaneval")
    assert caught.value.diagnostics[0].code == "bad-program"


def test_code_pass_at_k_runs_every_repeat() -> None:
    cell = generate_cell([[RIGHT, WRONG], [WRONG, WRONG], [RIGHT, None]], [None] * 3, [ROW] * 3)
    scoring = Scoring(
        ("code_pass@1", "code_pass@2", "code_pass^2"), code=CodeSettings(HUMANEVAL, timeout=20)
    )
    scores = score_cell(cell, scoring, allow_code_execution=True)
    assert scores.columns["code_pass@1"].values[:2].tolist() == [0.5, 0]
    assert scores.columns["code_pass@2"].values[:2].tolist() == [1, 0]
    assert scores.columns["code_pass^2"].values[:2].tolist() == [0, 0]
    assert scores.columns["code_pass@1"].present.tolist() == [True, True, False]


def test_the_canonical_solutions_of_humaneval_pass_and_wrong_ones_fail(shared: Path) -> None:
    path = shared / "data" / "humaneval" / "HumanEval.jsonl.gz"
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file][:24]
    completions = [[row["canonical_solution"], "    return None"] for row in rows]
    cell = generate_cell(completions, [None] * len(rows), rows)
    scoring = Scoring(("code_pass@1",), code=CodeSettings(HUMANEVAL, timeout=60))
    column = score_cell(cell, scoring, allow_code_execution=True).columns["code_pass@1"]
    assert column.values.tolist() == [0.5] * len(rows)


def test_code_runs_only_when_allowed(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    cell = generate_cell([[f"open({str(trace)!r}, 'w')"]], [None])
    scoring = Scoring(("code_pass@1",), code=CodeSettings("{{ completion }}"))
    assert needs_code_execution(scoring)
    with pytest.raises(Faults) as caught:
        score_cell(cell, scoring)
    assert caught.value.diagnostics[0].code == "code-execution-off"
    assert "--allow-code-execution" in (caught.value.diagnostics[0].hint or "")
    assert not trace.exists()
