"""The Hugging Face Hub through huggingface_hub: revisions, listings, files; errors as diagnostics.

Nothing here is imported or asked unless a spec has an `hf:` address. Where the Hub is, the token
and the cache are the library's own settings (`HF_ENDPOINT`, `HF_TOKEN`, `HF_HUB_CACHE`,
`HF_HUB_OFFLINE`).
"""

from __future__ import annotations

import glob
import hashlib
import importlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalc import env
from evalc.diagnostics import Diagnostic, Faults, Place
from evalc.plan.addresses import Address

CONVERSION = "refs/convert/parquet"
SUFFIXES = (".safetensors", ".json", ".txt", ".model", ".jinja", ".tiktoken", ".py")
"""What a model is loaded from. Pickles are never fetched."""
CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Listed:
    """A file of a commit: path, size in bytes, and the digest the Hub gives for its content.

    `sha256` is of the content, for files in LFS; `git` is the SHA-1 of the git blob, for others.
    """

    path: str
    size: int
    sha256: str | None
    git: str


def commit_of(address: Address, revision: str, place: Place | None) -> str:
    """The commit that a branch, tag or commit id names now. Raises Faults."""
    with _hub(address, place, revision) as library:
        found = library.HfApi().repo_info(
            address.repository, repo_type=address.kind, revision=revision
        )
        return str(found.sha)


def conversion_of(address: Address, place: Place | None) -> str | None:
    """The commit of a dataset's Parquet conversion, None when there is none. Raises Faults."""
    with _hub(address, place) as library:
        errors = importlib.import_module("huggingface_hub.errors")
        try:
            found = library.HfApi().repo_info(
                address.repository, repo_type=address.kind, revision=CONVERSION
            )
        except errors.RevisionNotFoundError:
            return None
        return str(found.sha)


def listing(address: Address, commit: str, place: Place | None) -> list[Listed]:
    """Every file of a commit, sorted by path. Raises Faults."""
    with _hub(address, place, commit) as library:
        tree = library.HfApi().list_repo_tree(
            address.repository, recursive=True, revision=commit, repo_type=address.kind
        )
        files = [entry for entry in tree if hasattr(entry, "blob_id")]
    found = [Listed(f.path, f.size, f.lfs.sha256 if f.lfs else None, f.blob_id) for f in files]
    return sorted(found, key=lambda file: file.path)


def model_files(files: Sequence[Listed]) -> list[Listed]:
    """The files a model is loaded from: those at the top, none of them a pickle."""
    return [file for file in files if "/" not in file.path and file.path.endswith(SUFFIXES)]


def cached(address: Address, commit: str, paths: Sequence[str]) -> list[Path] | None:
    """Files of a commit in the Hugging Face cache, None when one is not there. Asks nobody."""
    with _hub(address, None) as library:
        found = [
            library.try_to_load_from_cache(
                address.repository, path, revision=commit, repo_type=address.kind
            )
            for path in paths
        ]
    files = [Path(file) for file in found if isinstance(file, str)]
    return files if len(files) == len(paths) and all(f.is_file() for f in files) else None


def fetched(address: Address, commit: str, paths: Sequence[str], place: Place | None) -> list[Path]:
    """Files of a commit, downloaded into the Hugging Face cache where they are not there yet.

    Raises Faults.
    """
    found = cached(address, commit, paths)
    if found is not None:
        return found
    with _hub(address, place, commit) as library:
        root = library.snapshot_download(
            address.repository,
            repo_type=address.kind,
            revision=commit,
            allow_patterns=[glob.escape(path) for path in paths],
        )
    files = [Path(root, path) for path in paths]
    for file in files:
        if not file.is_file():
            message = f"`{address.text}` has no `{file.name}` at commit `{commit}`"
            raise _fault("hub-unavailable", message, place, "check the lock and the cache")
    return files


def differing(files: Sequence[Path], listed: Sequence[Listed]) -> str | None:
    """The first file whose content has not the digest that the Hub gives for it, or None.

    The library checks the size of a download only.
    """
    for file, wanted in zip(files, listed, strict=True):
        if wanted.sha256 is not None:
            right = _digest("sha256", b"", file) == wanted.sha256
        else:
            right = _digest("sha1", b"blob %d\0" % wanted.size, file) == wanted.git
        if not right:
            return wanted.path
    return None


def _digest(name: str, head: bytes, file: Path) -> str:
    state = hashlib.new(name, head, usedforsecurity=False)
    with file.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            state.update(chunk)
    return state.hexdigest()


@contextmanager
def _hub(address: Address, place: Place | None, revision: str = "") -> Iterator[Any]:
    """The library, quiet; whatever it raises becomes Faults."""
    try:
        library = importlib.import_module("huggingface_hub")
        utils = importlib.import_module("huggingface_hub.utils")
    except ImportError:
        hint = "install it with `pip install 'evalc[data]'`"
        message = f"`{address.text}` needs huggingface_hub"
        raise _fault("needs-huggingface-hub", message, place, hint) from None
    utils.logging.set_verbosity_error()
    if not env.on_a_terminal():
        utils.disable_progress_bars()
    try:
        yield library
    except Faults:
        raise
    except Exception as error:  # a wide family that differs between versions and HTTP clients
        raise _explained(address, place, revision, error) from None


def _explained(address: Address, place: Place | None, revision: str, error: Exception) -> Faults:
    """A diagnostic for what the library raised, by the names of its classes and their causes."""
    chain = _chain(error)
    kinds = {base.__name__ for link in chain for base in type(link).__mro__}
    status = next((s for link in chain if (s := _status(link)) is not None), None)
    name = address.repository
    refusals = (
        (
            "OfflineModeIsEnabled" in kinds,
            "hub-offline",
            f"`{address.text}` is not in the cache, and HF_HUB_OFFLINE forbids to ask the Hub",
            "run `evalc lock` once with a network",
        ),
        (
            "GatedRepoError" in kinds or status == 403,
            "hub-refused",
            f"the Hub refuses access to `{name}`, which is gated or closed",
            "ask for access on its page, and set HF_TOKEN to a token of that account",
        ),
        (
            "RevisionNotFoundError" in kinds,
            "hub-missing",
            f"`{name}` has no revision `{revision}`",
            "name a branch, a tag or a commit after `@`; `evalc lock --upgrade` for a locked one",
        ),
        (
            "RepositoryNotFoundError" in kinds,
            "hub-missing",
            f"the Hub has no {address.kind} `{name}`, or it is private",
            "check the name, or set HF_TOKEN to a token that may read it",
        ),
        (
            status == 401,
            "hub-refused",
            f"the Hub does not accept the token for `{name}`",
            "set HF_TOKEN to a valid token, or unset it",
        ),
        (
            status == 404,
            "hub-missing",
            f"a file of `{address.text}` is gone from the Hub",
            "name another revision after `@`",
        ),
    )
    for applies, code, message, hint in refusals:
        if applies:
            return _fault(code, message, place, hint)
    reason = f"the Hub answers {status}" if status else "the Hub cannot be reached"
    note = f"{type(chain[-1]).__name__}: {_first(chain[-1])}"
    message = f"`{address.text}` cannot be had: {reason}"
    hint = "check the network and HF_ENDPOINT, or give a local path"
    return Faults([Diagnostic("hub-unavailable", message, place, notes=(note,), hint=hint)])


def _chain(error: BaseException) -> list[BaseException]:
    chain: list[BaseException] = [error]
    while (cause := chain[-1].__cause__) is not None and cause not in chain:
        chain.append(cause)
    return chain


def _status(error: BaseException) -> int | None:
    status = getattr(getattr(error, "response", None), "status_code", None)
    return status if isinstance(status, int) else None


def _first(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else "no reason given"


def _fault(code: str, message: str, place: Place | None, hint: str) -> Faults:
    return Faults([Diagnostic(code, message, place, hint=hint)])
