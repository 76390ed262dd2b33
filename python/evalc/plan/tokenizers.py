"""Tokenizer bundles: extracted once per tokenizer by a child process, kept by content."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

from evalc import _core
from evalc.diagnostics import Diagnostic, Faults, Place
from evalc.errors import ExitCode
from evalc.plan import contents
from evalc.plan.sums import is_summed

BUNDLE_VERSION = 3
PATIENCE = 600
"""Seconds that the child may take."""
CHILD = """\
import sys
if sys.path[:1] == [""]:  # the working directory, whose files nobody asked to run
    del sys.path[0]
from evalc.exec.model.bundle import main
sys.exit(main())
"""
TOLD = ("cache-failed", "bad-model", "missing-package")
"""What the child may find besides a bad tokenizer."""


def bundle(model: Path, cache: Path, trust_remote_code: bool, place: Place | None) -> Path:
    """Path of the bundle of a model's tokenizer; see docs/architecture.md for what it holds.

    Only a tokenizer never seen before starts a child process, the one place of planning that
    imports transformers.
    """
    files = contents.files(model, contents.TOKENIZER)
    if trust_remote_code:
        files += contents.files(model, *contents.CODE.values())
    digests = _core.hash_files([str(file) for file in files])
    fields = [
        part.encode()
        for file, digest in zip(files, digests, strict=True)
        for part in (file.relative_to(model).as_posix(), digest)
    ]
    name = _core.digest_fields(f"evalc.tokenizer.v{BUNDLE_VERSION}", fields)
    path = cache / "tokenizers" / f"{name}.json"
    if not is_summed(path):
        _extract(model, path, trust_remote_code, place)
    return path


def _extract(model: Path, path: Path, trust_remote_code: bool, place: Place | None) -> None:
    if importlib.util.find_spec("transformers") is None:
        message = f"the tokenizer of `{model}` has not been read yet, which needs transformers"
        raise Faults(
            [
                Diagnostic(
                    "needs-transformers",
                    message,
                    place,
                    hint="install it once with `pip install 'evalc[exec]'`",
                )
            ]
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        message = f"`{path.parent}` cannot be written: {(error.strerror or str(error)).lower()}"
        hint = "make room, or choose another cache with `--cache`"
        found = Diagnostic("cache-failed", message, hint=hint)
        raise Faults([found], exit_code=ExitCode.FAILURE) from None
    command = [sys.executable, "-c", CHILD, str(model), str(path)]
    if trust_remote_code:
        command.append("--trust-remote-code")
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=PATIENCE
        )
    except subprocess.TimeoutExpired:
        message = f"the tokenizer of `{model}` was not read within {PATIENCE // 60} minutes"
        hint = "check that its files are whole"
        raise Faults([Diagnostic("bad-tokenizer", message, place, hint=hint)]) from None
    if done.returncode != 0 or not path.exists():
        found = _failure(done.stderr, model, place)
        code = ExitCode.FAILURE if found.code == "cache-failed" else ExitCode.USAGE
        raise Faults([found], exit_code=code)


def _failure(stderr: str, model: Path, place: Place | None) -> Diagnostic:
    """The child's own finding: its last line of JSON, or what it printed."""
    lines = [line for line in stderr.strip().splitlines() if line.strip()]
    for line in reversed(lines):
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict) and "message" in found:
            code = found["code"] if found.get("code") in TOLD else "bad-tokenizer"
            where = None if code == "cache-failed" else place
            return Diagnostic(code, str(found["message"]), where, hint=found.get("hint"))
    last = lines[-1] if lines else "the process ended without a word"
    return Diagnostic("bad-tokenizer", f"the tokenizer of `{model}` cannot be read: {last}", place)
