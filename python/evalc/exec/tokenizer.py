"""Loading a tokenizer through transformers, without torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers import AutoConfig, AutoTokenizer
from transformers.utils import logging

from evalc.diagnostics import Diagnostic, Faults
from evalc.exec.weights import first_line, require_config
from evalc.plan.contents import CONFIG


def load_tokenizer(directory: Path, trust_remote_code: bool) -> Any:
    """The fast tokenizer of a model directory. Raises Faults."""
    require_config(directory)
    logging.set_verbosity_error()
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            directory, local_files_only=True, trust_remote_code=trust_remote_code
        )
    except Exception as failure:
        _require_readable_config(directory, trust_remote_code)
        raise Faults(
            [
                Diagnostic(
                    "bad-tokenizer",
                    f"the tokenizer in `{directory}` does not load: {first_line(failure)}",
                    hint="save the tokenizer beside the model with `save_pretrained`",
                )
            ]
        ) from failure
    if getattr(tokenizer, "backend_tokenizer", None) is None:
        raise Faults(
            [
                Diagnostic(
                    "bad-tokenizer",
                    f"the tokenizer in `{directory}` has no fast (`tokenizer.json`) form",
                    hint="convert it with transformers and save it beside the model",
                )
            ]
        )
    return tokenizer


def _require_readable_config(directory: Path, trust_remote_code: bool) -> None:
    """Raise Faults where it is the model's configuration that transformers does not read."""
    try:
        AutoConfig.from_pretrained(
            directory, local_files_only=True, trust_remote_code=trust_remote_code
        )
    except Exception as failure:
        message = f"`{directory / CONFIG}` is not read by transformers: {first_line(failure)}"
        hint = "correct the field, or restore the file from where the model came from"
        raise Faults([Diagnostic("bad-model", message, hint=hint)]) from failure


def plain_ids(tokenizer: Any, text: str) -> list[int]:
    """The ids of `text` without special tokens added."""
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


def prefix_ids(tokenizer: Any) -> list[int]:
    """The ids that the tokenizer puts before every text, found by encoding, not by its flags."""
    found: list[list[int]] = []
    for text in ("hello", " world", "1 + 1 =", "\n"):
        whole: list[int] = tokenizer(text, add_special_tokens=True)["input_ids"]
        bare = plain_ids(tokenizer, text)
        places = range(len(whole) - len(bare) + 1)
        found.append(next((whole[:k] for k in places if whole[k : k + len(bare)] == bare), []))
    return found[0] if all(prefix == found[0] for prefix in found) else []


def require_parity(tokenizer: Any, samples: Sequence[tuple[str, list[int]]]) -> None:
    """Raise Faults unless the Python tokenizer gives the planner's ids for every sample.

    A prompt begins with the tokenizer's own prefix, or without it where a chat template wrote it.
    """
    prefix = prefix_ids(tokenizer)
    differing = []
    for text, ids in samples:
        plain = plain_ids(tokenizer, text)
        if list(ids) not in (plain, prefix + plain):
            differing.append(text)
    if differing:
        shown = differing[0] if len(differing[0]) <= 60 else differing[0][:57] + "..."
        raise Faults(
            [
                Diagnostic(
                    "tokenizer-mismatch",
                    f"the planner and the Python tokenizer disagree on {len(differing)} of "
                    f"{len(samples)} sampled prompts (`{shown!r}`)",
                    hint="delete the cached tokenizer bundle and plan again",
                )
            ]
        )
