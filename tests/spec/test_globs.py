"""Globs over a repository's paths, held against git's own reading of them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalc.spec.globs import path_matches


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("docs/**", "docs/a.md", True),
        ("docs/**", "docs/a/b.md", True),
        ("docs/**", "docs", False),
        ("docs/**", "src/docs/a.md", False),
        ("docs/", "src/docs/a.md", True),
        ("docs/", "docs", False),
        ("/docs", "docs/a.md", True),
        ("/docs", "src/docs/a.md", False),
        ("*.md", "README.md", True),
        ("*.md", "a/b/README.md", True),
        ("*.md", "README.md.py", False),
        ("a/*.md", "a/x.md", True),
        ("a/*.md", "a/b/x.md", False),
        ("**/x.py", "x.py", True),
        ("**/x.py", "a/b/x.py", True),
        ("a/**/x.py", "a/x.py", True),
        ("a/**/x.py", "a/b/c/x.py", True),
        ("a/**/x.py", "b/a/x.py", False),
        ("**", "any/thing", True),
        ("*", "any/thing", True),
        ("a?c", "abc", True),
        ("a?c", "a/c", False),
        ("[ab].py", "a.py", True),
        ("[!ab].py", "a.py", False),
        ("[!ab].py", "c.py", True),
        ("a[b", "a[b", True),
        ("a+b(c).py", "a+b(c).py", True),
        ("src", "src/deep/x", True),
        ("é*", "élan\nlf", True),
    ],
)
def test_a_glob_is_read_as_gitignore_reads_it(pattern: str, path: str, matches: bool) -> None:
    assert path_matches(pattern, path) is matches


NAMES = st.sampled_from(["a", "b", "ab", "a.md", "docs"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
STEPS = st.sampled_from(["a", "*", "**", "a*", "?", "[ab]", "*.md", "docs"])
GLOBS = st.builds(
    lambda lead, steps, tail: lead + "/".join(steps) + tail,
    st.sampled_from(["", "/"]),
    st.lists(STEPS, min_size=1, max_size=3),
    st.sampled_from(["", "/"]),
)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("globs")
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    return root


@settings(max_examples=150, deadline=None)
@given(pattern=GLOBS, path=PATHS)
def test_any_glob_matches_what_git_would_ignore_by_it(
    repository: Path, pattern: str, path: str
) -> None:
    (repository / ".gitignore").write_text(pattern + "\n")
    command = ["git", "-C", str(repository), "check-ignore", "--no-index", "-q", path]
    ignored = subprocess.run(command, check=False).returncode == 0
    assert path_matches(pattern, path) is ignored
