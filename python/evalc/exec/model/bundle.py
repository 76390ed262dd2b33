"""Write a model's tokenizer bundle; see docs/architecture.md for what it holds.

    python -m evalc.exec.model.bundle MODEL_DIR OUT_JSON [--trust-remote-code]

The bundle appears in one rename. On failure the last line of stderr is one JSON object with
`code`, `message`, `notes` and `hint`, and the exit code is 2.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from evalc import _core
from evalc.diagnostics import Diagnostic, Faults
from evalc.exec.model.probes import PROBES
from evalc.exec.model.tokenizer import (
    decoded,
    decoding_digest,
    load_tokenizer,
    loses_first_space,
    plain_ids,
    prefix_ids,
)
from evalc.exec.model.weights import first_line
from evalc.plan.sums import summed

VERSION = 3
UNBOUNDED = 1 << 30
DAY = "2026-01-01"
"""For templates that write the date; it is no token."""
LENGTHS = (
    "max_position_embeddings",
    "n_positions",
    "max_sequence_length",
    "max_seq_len",
    "seq_length",
    "n_ctx",
)


LONGEST_TOKEN = 65_535


def bundle(directory: Path, trust_remote_code: bool) -> dict[str, Any]:
    """The bundle of the tokenizer in `directory`. Raises Faults."""
    tokenizer = load_tokenizer(directory, trust_remote_code)
    _short_tokens(directory, tokenizer)
    config = _json(directory / "config.json")
    prefix = prefix_ids(tokenizer)
    ends = eos_ids(tokenizer, config, _json(directory / "generation_config.json"))
    content = {
        "tokenizer_json": _backend(tokenizer),
        "prefix_ids": prefix,
        "empty_context_ids": _empty_context(tokenizer, prefix),
        "eos_ids": ends,
        "plain_eos_ids": [index for index in ends if decoded(tokenizer, [index])],
        "loses_first_space": loses_first_space(tokenizer),
        "decoding": decoding_digest(tokenizer),
        "control_ids": control_ids(tokenizer, ends),
        "chat_template": _chat_template(tokenizer),
        "special_tokens": special_tokens(tokenizer),
        "model_max_length": _max_length(tokenizer, config),
        "probes": [{"text": text, "ids": plain_ids(tokenizer, text)} for text in PROBES],
    }
    canonical = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    digest = hashlib.blake2b(canonical.encode("utf-8"), digest_size=32).hexdigest()
    return {"bundle": VERSION, "digest": digest, **content}


def _short_tokens(directory: Path, tokenizer: Any) -> None:
    """Raises Faults for a token that the planner's tokenizer cannot hold."""
    added = (str(token.content) for token in tokenizer.added_tokens_decoder.values())
    for text in (*added, *tokenizer.get_vocab()):
        if len(text.encode(errors="replace")) > LONGEST_TOKEN:
            message = f"the tokenizer of `{directory}` has a token of more than 65,535 bytes"
            hint = "restore the file that names it from where the model came"
            raise Faults([Diagnostic("bad-tokenizer", f"{message}: `{text[:40]}...`", hint=hint)])


def eos_ids(tokenizer: Any, *configs: Mapping[str, Any]) -> list[int]:
    """Every id that ends an output: the tokenizer's and those of the model's configs."""
    found: set[int] = set()
    values: list[Any] = [tokenizer.eos_token_id]
    for config in configs:
        values += [config.get("eos_token_id"), _text_part(config).get("eos_token_id")]
    for value in values:
        several = value if isinstance(value, list) else [value]
        found |= {int(index) for index in several if index is not None}
    return sorted(found)


def control_ids(tokenizer: Any, ends: Sequence[int]) -> list[int]:
    """Ids of the tokens that a row of data may spell but not write.

    Those that are flagged special, that begin or end a text, and that the chat template puts around
    the turns of a plain conversation. Other added tokens (runs of spaces, `<tool_call>`) are what
    ordinary texts are made of.
    """
    added = tokenizer.added_tokens_decoder
    found = {int(index) for index, token in added.items() if token.special}
    found |= {int(index) for index in (*ends, tokenizer.bos_token_id) if index is not None}
    turns = _turns(tokenizer)
    found |= {
        int(index)
        for index, token in added.items()
        if str(token.content).strip() and str(token.content) in turns
    }
    return sorted(found)


def _turns(tokenizer: Any) -> str:
    """What the chat template writes around two turns, with and without a system message.

    Rendered as the planner renders it, within its bounds: transformers' own has none, and a
    template is a program of whoever made the model.
    """
    template = _chat_template(tokenizer)
    if template is None:
        return ""
    turns = [("user", ""), ("assistant", "")]
    texts = []
    for system in ([], [("system", "")]):
        for opening in (False, True):
            talk = system + (turns[:1] if opening else turns)
            with suppress(ValueError):  # it refuses such turns
                texts.append(
                    _core.render_chat(template, special_tokens(tokenizer), DAY, talk, opening)
                )
    return "\n".join(texts)


def special_tokens(tokenizer: Any) -> dict[str, str]:
    """The special tokens by their names, those that are one text."""
    named = sorted(tokenizer.special_tokens_map.items())
    return {name: text for name, text in named if isinstance(text, str)}


def _backend(tokenizer: Any) -> str:
    """The tokenizer's JSON without the truncation and padding that callers may have left in it."""
    backend = tokenizer.backend_tokenizer
    backend.no_truncation()
    backend.no_padding()
    text: str = backend.to_str()
    return text


def _empty_context(tokenizer: Any, prefix: Sequence[int]) -> list[int]:
    for index in (tokenizer.bos_token_id, tokenizer.eos_token_id):
        if index is not None:
            return [int(index)]
    if prefix:
        return list(prefix)
    raise Faults(
        [
            Diagnostic(
                "bad-tokenizer",
                "the tokenizer has neither a BOS nor an EOS token, so an empty context has no ids",
                hint="set `bos_token` or `eos_token` in `tokenizer_config.json`",
            )
        ]
    )


def _chat_template(tokenizer: Any) -> str | None:
    template = tokenizer.chat_template
    if isinstance(template, dict):
        return template.get("default") or next(iter(template.values()), None)
    return template or None


def _max_length(tokenizer: Any, config: Mapping[str, Any]) -> int | None:
    text = _text_part(config)
    lengths = [tokenizer.model_max_length, *(text.get(name) for name in LENGTHS)]
    sane = [int(n) for n in lengths if isinstance(n, int | float) and 0 < n < UNBOUNDED]
    return min(sane, default=None)


def _text_part(config: Mapping[str, Any]) -> Mapping[str, Any]:
    part = config.get("text_config")
    return part if isinstance(part, dict) else config


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _write(content: Mapping[str, Any], out: Path) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=out.parent, prefix=f".{out.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(summed(json.dumps(content, ensure_ascii=False).encode()))
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(out)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m evalc.exec.model.bundle")
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--trust-remote-code", action="store_true")
    options = parser.parse_args(arguments)
    try:
        content = bundle(options.model, options.trust_remote_code)
    except Faults as faults:
        return _report(faults.diagnostics[0])
    except Exception as failure:
        return _report(
            Diagnostic(
                "bad-tokenizer",
                f"the tokenizer in `{options.model}` cannot be bundled: {first_line(failure)}",
            )
        )
    try:
        _write(content, options.out)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        message = f"`{options.out.parent}` cannot be written: {why}"
        hint = "make room, or choose another cache with `--cache`"
        return _report(Diagnostic("cache-failed", message, hint=hint))
    return 0


def _report(found: Diagnostic) -> int:
    line = {
        "code": found.code,
        "message": found.message,
        "notes": list(found.notes),
        "hint": found.hint,
    }
    sys.stderr.write(json.dumps(line) + "\n")
    return 2


if __name__ == "__main__":
    sys.exit(main())
