"""What git says of the time since a revision: which files changed, and what they held then."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from evalc import env
from evalc.diagnostics import Diagnostic, Faults

State = Literal["changed", "same", "unknown"]
QUIET = (
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    "core.pager=cat",
    "protocol.allow=never",
    "core.sshCommand=false",
    "credential.helper=",
)
OWN = (b"local", b"worktree")
"""Scopes of settings that lie in the repository."""
LINK = b"160000"
"""The mode of a repository inside a repository."""
FILES = (b"100644", b"100755")
"""Modes of plain files; the content of a symbolic link is no spec."""


@dataclass(frozen=True, slots=True)
class History:
    """A repository between `base` and its working tree.

    `root` is its top folder, `base` the commit where `revision` and HEAD parted. `changed` has the
    paths, relative to `root`, that differ, both sides of a rename and files that git does not
    track yet among them; `tracked` those that git has, submodules by their folder.
    """

    root: Path
    revision: str
    base: str
    changed: frozenset[str]
    tracked: frozenset[str] = field(repr=False)

    def without(self, paths: Iterable[Path]) -> History:
        """The same but for some files and what is in some folders."""
        own = {self.name(path.resolve()) for path in paths}
        kept = (name for name in self.changed if own.isdisjoint(_and_above(name)))
        return replace(self, changed=frozenset(kept))

    def state(self, path: Path) -> State:
        """Whether a file is what it was; unknown where it is ignored, or outside the repository."""
        names = [name for name in (self.name(path), self.name(path.resolve())) if name]
        if any(part in self.changed for name in names for part in _and_above(name)):
            return "changed"
        # a link that git has leads to what git may not have
        real = self.name(path.resolve())
        held = real is not None and any(part in self.tracked for part in _and_above(real))
        return "same" if held else "unknown"

    def name(self, path: Path) -> str | None:
        """A path relative to the root, as git writes it; None outside the repository."""
        return path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else None

    def gone(self, folder: Path) -> list[Path]:
        """Files of a folder that changed and are there no more."""
        paths = [self.root / name for name in sorted(self.changed)]
        return [path for path in paths if path.parent == folder and not path.exists()]

    def before(self, path: Path) -> bytes | None:
        """What a file held at `base`; None where it was none, or is outside the repository."""
        name = self.name(path)
        return self._contents([name]).get(name) if name else None

    def folder_before(self, folder: Path, suffix: str) -> dict[Path, bytes]:
        """Files directly in a folder at `base` with names that end in `suffix`, in name order."""
        name = self.name(folder)
        if name is None:
            return {}
        found = self._contents([] if name == "." else [name + "/"], suffix)
        return {self.root / path: found[path] for path in sorted(found)}

    def _contents(self, names: list[str], suffix: str = "") -> dict[str, bytes]:
        listed = _checked(self.root, "ls-tree", "-z", "--full-tree", self.base, *names)
        found = {}
        for entry in _split(listed):
            about, _, path = entry.partition(b"\t")
            mode, _, identity = about.split(b" ")[:3]
            if mode in FILES and path.endswith(suffix.encode()):
                blob = _checked(self.root, "cat-file", "blob", identity.decode())
                found[os.fsdecode(path)] = blob
        return found


def history(folder: Path, revision: str) -> History:
    """The history since a revision of the repository that holds `folder`.

    Raises Faults: git is missing, there is no repository, the revision is not in it, or the clone
    is too shallow to tell.
    """
    root = _root(folder)
    commit = _commit(root, revision)
    base = _base(root, revision, commit)
    # a comparison with the working tree sees what is committed, staged and merely edited
    compared = ["diff", "--name-only", "--no-renames", "--no-relative", "-z"]
    compared += ["--no-ext-diff", "--no-textconv"]
    changed = _split(_checked(root, *compared, base, "--"))
    others = _split(_checked(root, "ls-files", "-z", "--others", "--exclude-standard"))
    tracked = _split(_checked(root, "ls-files", "-z"))
    return History(
        root,
        revision,
        base,
        frozenset(_names([*changed, *others])),
        frozenset(_names(tracked)),
    )


def _names(found: Iterable[bytes]) -> list[str]:
    # a repository inside the repository is listed as its folder
    return [os.fsdecode(name).rstrip("/") for name in found]


def _and_above(name: str) -> list[str]:
    parts = name.split("/")
    return ["/".join(parts[:end]) for end in range(len(parts), 0, -1)]


def _split(listed: bytes) -> list[bytes]:
    return [entry for entry in listed.split(b"\0") if entry]


def _filters(folder: Path) -> list[str]:
    """Settings with which git runs a repository's programs over the files that it compares.

    Those of the user and of the machine are theirs, as Git LFS; without a filter a file counts as
    changed.
    """
    asked = ["config", "-z", "--show-scope", "--name-only", "--get-regexp"]
    listed = _split(
        _run(folder, env.untranslated(), *asked, r"^filter\..*\.(clean|process)$").stdout
    )
    own = [name for scope, name in zip(listed[::2], listed[1::2], strict=False) if scope in OWN]
    names = [os.fsdecode(name).rpartition(".") for name in own]
    found = [f"{head}.{key}" for head, _, key in names] + [f"{name[0]}.required" for name in names]
    return [*found, *(name for inner in _submodules(folder) for name in _filters(inner))]


def _submodules(folder: Path) -> list[Path]:
    """Repositories inside a repository: git looks into each while it compares, by its settings."""
    staged = _split(_run(folder, env.untranslated(), "ls-files", "-z", "--stage").stdout)
    entries = [entry.partition(b"\t") for entry in staged]
    links = [os.fsdecode(path) for about, _, path in entries if about.startswith(LINK)]
    return [folder / path for path in links if (folder / path / ".git").exists()]


def _git(folder: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    environment = env.untranslated()
    at = int(environment.get("GIT_CONFIG_COUNT") or 0)
    # named by variables: a filter's own name may hold what ends a name in an argument
    for name in _filters(folder) if arguments[0] == "diff" else ():
        value = "false" if name.endswith(".required") else ""
        environment[f"GIT_CONFIG_KEY_{at}"], environment[f"GIT_CONFIG_VALUE_{at}"] = name, value
        at += 1
        environment["GIT_CONFIG_COUNT"] = str(at)
    return _run(folder, environment, *arguments)


def _run(
    folder: Path, environment: Mapping[str, str], *arguments: str
) -> subprocess.CompletedProcess[bytes]:
    # what a repository configures to be run is not run
    quiet = [part for setting in QUIET for part in ("-c", setting)]
    command = ["git", *quiet, "--no-optional-locks", "--literal-pathspecs"]
    command += ["-C", str(folder), *arguments]
    try:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            env=environment,
        )
    except (FileNotFoundError, PermissionError):
        hint = "install git, or name a tier with `--tier` in place of `--since`"
        message = "`--since` asks git what has changed, and there is no `git` on this machine"
        raise Faults([Diagnostic("no-git", message, hint=hint)]) from None


def _checked(folder: Path, *arguments: str) -> bytes:
    done = _git(folder, *arguments)
    if done.returncode:
        message = f"`git {arguments[0]}` failed in `{folder}`"
        raise Faults([Diagnostic("git-failed", message, notes=_said(done))])
    return done.stdout


def _said(done: subprocess.CompletedProcess[bytes]) -> tuple[str, ...]:
    text = done.stderr.decode(errors="replace").strip()
    return (f"git says: {text}",) if text else ()


def _root(folder: Path) -> Path:
    done = _git(folder, "rev-parse", "--show-toplevel")
    if not done.returncode:
        return Path(os.fsdecode(done.stdout.removesuffix(b"\n")))
    hint = "run evalc in a clone of the repository, or name a tier with `--tier`"
    if b"dubious ownership" in done.stderr:
        hint = "run the `git config` that git names before evalc, as the same user"
    message = f"`{folder}` is not in the working tree of a git repository"
    raise Faults([Diagnostic("no-repository", message, notes=_said(done), hint=hint)])


def _commit(root: Path, revision: str) -> str:
    # no name of a revision begins with a dash, but an option of git does
    if not revision.startswith("-"):
        done = _git(root, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
        if not done.returncode:
            return done.stdout.decode().strip()
    message = f"`{revision}` is no revision of the repository `{root}`"
    if _shallow(root):
        raise _too_shallow(message)
    hint = "name a branch, tag or commit that is here; a remote's branch needs `git fetch` first"
    raise Faults([Diagnostic("unknown-revision", message, hint=hint)])


def _base(root: Path, revision: str, commit: str) -> str:
    done = _git(root, "merge-base", commit, "HEAD")
    if not done.returncode:
        return done.stdout.decode().split()[0]
    message = f"`{revision}` and HEAD have no common commit in `{root}`"
    if _shallow(root):
        raise _too_shallow(message)
    hint = "name a revision of this history"
    raise Faults([Diagnostic("unknown-revision", message, notes=_said(done), hint=hint)])


def _shallow(root: Path) -> bool:
    return _git(root, "rev-parse", "--is-shallow-repository").stdout.strip() == b"true"


def _too_shallow(message: str) -> Faults:
    note = "the clone is shallow: it holds only the newest commits"
    hint = "fetch the rest with `git fetch --unshallow`; in GitHub Actions, `fetch-depth: 0`"
    return Faults([Diagnostic("shallow-clone", message, notes=(note,), hint=hint)])
