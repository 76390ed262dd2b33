"""`hf:` paths of models: the snapshot of a revision in the Hugging Face cache."""

from __future__ import annotations

import importlib
from pathlib import Path

from evalc.diagnostics import Diagnostic, Faults, Place

PREFIX = "hf:"
FILES = ["*.safetensors", "*.json", "*.txt", "*.model", "*.jinja", "*.tiktoken", "*.py"]


def local_model(located: str, place: Place | None) -> Path:
    """A local directory: `located` itself, or the downloaded snapshot of `hf:org/name@revision`.

    Raises Faults when huggingface_hub is missing or the snapshot cannot be had.
    """
    if not located.startswith(PREFIX):
        return Path(located)
    try:
        library = importlib.import_module("huggingface_hub")
    except ImportError:
        raise Faults(
            [
                Diagnostic(
                    "needs-huggingface-hub",
                    f"`{located}` needs huggingface_hub",
                    place,
                    hint="install it with `pip install 'evalc[data]'`",
                )
            ]
        ) from None
    name, _, revision = located.removeprefix(PREFIX).partition("@")
    try:
        return Path(
            library.snapshot_download(name, revision=revision or None, allow_patterns=FILES)
        )
    except Exception as error:  # the library raises a wide and changing family of errors
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise Faults(
            [
                Diagnostic(
                    "hub-unavailable",
                    f"`{located}` cannot be had: {first}",
                    place,
                    hint="check the name and the network, or give a local path",
                )
            ]
        ) from None


def local_data(located: str, place: Place | None) -> Path:
    """A local data file. Raises Faults for `hf:` datasets, which are not read yet."""
    if located.startswith(PREFIX):
        message = f"`{located}`: datasets are not read from the Hub yet"
        hint = "download the file and give its path"
        raise Faults([Diagnostic("hub-data", message, place, hint=hint)])
    return Path(located)
