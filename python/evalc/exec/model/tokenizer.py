"""Loading a tokenizer through transformers, without torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from transformers import AutoConfig, AutoTokenizer
from transformers.utils import logging

from evalc.diagnostics import Diagnostic, Faults
from evalc.exec.model.weights import first_line, require_config
from evalc.plan.contents import CONFIG

PREFIX_TEXTS = ("hello", " world", "1 + 1 =", "\n", "A", "the end.", "é", "?", "x y")
SPACES = ("\u2581", "\u0120", " ")
SAMPLED = 64
PIECES = ("sentencepiece", "protobuf")
"""Packages that read a SentencePiece model, as pip names them."""
UNKNOWN = "\ufffd"
PLAIN_DECODING = (
    "transformers.tokenization_utils_base",
    "transformers.tokenization_utils_tokenizers",
)
"""Modules whose methods do nothing to a text but to ask the backend for it."""


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
        raise Faults([_unreadable(directory, failure)]) from failure
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


def _unreadable(directory: Path, failure: Exception) -> Diagnostic:
    """The diagnostic for a tokenizer that does not load.

    Where a package is missing, transformers takes a SentencePiece model for another kind of file,
    and says that it cannot be read as such.
    """
    fast = (directory / "tokenizer.json").is_file()
    slow = [] if fast else sorted(file.name for file in directory.glob("*.model"))
    absent = [name for name in PIECES if not _installed(name)]
    if slow and absent:
        message = (
            f"the tokenizer in `{directory}` is a SentencePiece model (`{slow[0]}`), which needs "
            f"`{absent[0]}`"
        )
        install = f"install it with `pip install {' '.join(PIECES)}`"
        hint = f"{install}, or save a `tokenizer.json` beside it"
        return Diagnostic("missing-package", message, hint=hint)
    message = f"the tokenizer in `{directory}` does not load: {first_line(failure)}"
    hint = "save the tokenizer beside the model with `save_pretrained`"
    return Diagnostic("bad-tokenizer", message, hint=hint)


def _installed(package: str) -> bool:
    with suppress(PackageNotFoundError):
        return bool(version(package))
    return False


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
    """The ids that the tokenizer puts before every text, found by encoding, not by its flags.

    A text that has no ids of its own (white space, for some tokenizers) cannot tell what stands
    before it from what stands behind it, and is passed over. What a tokenizer puts last is left
    out: a model that is to go on from a text must not read its end first. Raises Faults where
    what stands first is not the same for every text.
    """
    found: set[tuple[int, ...]] | None = None
    for text in PREFIX_TEXTS:
        whole: list[int] = tokenizer(text, add_special_tokens=True)["input_ids"]
        bare = plain_ids(tokenizer, text)
        if not bare:
            continue
        places = range(len(whole) - len(bare) + 1)
        heads = {tuple(whole[:k]) for k in places if whole[k : k + len(bare)] == bare}
        found = heads if found is None else found & heads
        if not found:
            message = (
                f"what the tokenizer puts around a text is not the same for every text: `{text}` "
                f"is {bare[:8]} by itself and {whole[:12]} with it"
            )
            hint = "correct `post_processor` in `tokenizer.json`"
            raise Faults([Diagnostic("bad-tokenizer", message, hint=hint)])
    if not found:
        return []
    shortest: tuple[int, ...] = min(found, key=len)
    return list(shortest)


def loses_first_space(tokenizer: Any) -> bool:
    """Whether the first of the ids that are decoded gives another text than it does behind others.

    So it is where a decoder strips the space that its encoder put before every text (SentencePiece
    models), or puts a space before every word but the first (WordPiece). Found by decoding some
    of the vocabulary.
    """
    tokens = sorted((index, token) for token, index in tokenizer.get_vocab().items())
    spaced = [index for index, token in tokens if token[:1] in SPACES][:SAMPLED]
    step = max(1, len(tokens) // SAMPLED)
    tried = spaced + [index for index, _ in tokens[::step]]
    texts = {index: decoded(tokenizer, [index]) for index in tried}
    anchor = next((index for index, text in texts.items() if text.strip().isalnum()), None)
    if anchor is None:
        return False
    before = texts[anchor]
    for index, alone in texts.items():
        both = decoded(tokenizer, [anchor, index])
        if UNKNOWN not in both and both != before + alone:
            return True
    return False


def decoded(tokenizer: Any, ids: Sequence[int]) -> str:
    """The text of `ids` without special tokens; incomplete characters become U+FFFD."""
    text: str = tokenizer.decode(
        list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False
    )
    return text


def decoding_digest(tokenizer: Any) -> str:
    """Digest (64 hex digits) of all that makes ids a text in `decoded`.

    The decoder, the token of each id, which of them are special and so left out, and the methods
    of a tokenizer that decodes in its own way. Weights say nothing of any of these: a tokenizer
    that is edited beside them answers in other words with the same ids.
    """
    backend = tokenizer.backend_tokenizer
    added = backend.get_added_tokens_decoder().items()
    methods = (getattr(type(tokenizer), name) for name in ("decode", "_decode"))
    facts = {
        "decoder": json.loads(backend.to_str())["decoder"],
        "tokens": sorted((index, token) for token, index in backend.get_vocab().items()),
        "special": sorted(index for index, token in added if token.special),
        "methods": sorted(m.__qualname__ for m in methods if m.__module__ not in PLAIN_DECODING),
    }
    canonical = json.dumps(facts, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.blake2b(canonical.encode(), digest_size=32).hexdigest()


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
