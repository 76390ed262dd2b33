"""Which files does loading open, over all architectures and formats, and does a key hold each?

    python benches/files_opened.py [kind ...]

Each architecture is made small (`tests/tiny_architectures.py`), written as one file and as shards,
in float32 and in half precision, into a folder with all that published ones hold besides, and
loaded as a run loads it; its tokenizer is bundled there too. Then tokenizers in other forms. The
kernel tells what is opened (inotify), `evalc.plan.contents` what holds it. Exits with 1 if anything
is opened that no key holds and that is not on the list of inert files.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import json
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoModelForCausalLM

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
import tiny_architectures
import tiny_models
import tokenizer_families
from evalc.diagnostics import Faults
from evalc.exec.model.bundle import bundle
from evalc.plan import contents
from loaded_files import decoyed, source, unheld
from opened import opened

SHARD = "20KB"
FORMATS: dict[str, tuple[torch.dtype, str | None]] = {
    "one file, float32": (torch.float32, None),
    "one file, bfloat16": (torch.bfloat16, None),
    "shards, float32": (torch.float32, SHARD),
    "shards, float16": (torch.float16, SHARD),
}
"""The dtype of the weights and of the run, and the size of a shard."""
TOKENIZER_DECOYS = {
    "chat_template.jinja": "{{ messages[0]['content'] }}",
    "additional_chat_templates/tools.jinja": "{{ messages }}",
}


@dataclass
class Tally:
    """What was watched: loads by format, opened files by what holds them, and what nothing does."""

    loads: Counter[str] = field(default_factory=Counter)
    kinds: set[str] = field(default_factory=set)
    names: Counter[str] = field(default_factory=Counter)
    parts: Counter[str] = field(default_factory=Counter)
    unaccounted: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def add(self, kind: str, form: str, files: set[str], found: set[str]) -> None:
        self.kinds.add(kind)
        self.loads[form] += 1
        self.names.update(files)
        self.unaccounted += [f"{kind}, {form}: {name}" for name in sorted(found)]


def named(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def watched_tokenizer(folder: Path) -> tuple[set[str], set[str]]:
    """Names of the files that a bundle is made of, and those of them that nothing holds."""
    with opened(folder) as files:
        bundle(folder, trust_remote_code=False)
    names = {file.relative_to(folder).as_posix() for file in files}
    return names, {name for name in names if contents.holder(name, tokenizer=True) is None}


def weighed(kind: str, scratch: Path, tally: Tally) -> None:
    """All formats of one architecture."""
    folder = scratch / "whole"
    tiny_architectures.write(folder, kind)
    for form, (dtype, shard) in FORMATS.items():
        made = scratch / "m"
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
        sizes = {"max_shard_size": shard} if shard else {}
        model.save_pretrained(made, **sizes)
        for name in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copy(folder / name, made / name)
        decoyed(made, TOKENIZER_DECOYS)
        try:
            tally.add(kind, form, *unheld(source(made, dtype=named(dtype))))
        except Faults as faults:
            tally.refused.append(f"{kind}, {form}: {faults.diagnostics[0].message}")
        tally.add(kind, "its tokenizer", *watched_tokenizer(made))
        shutil.rmtree(made)
    shutil.rmtree(folder)


def _saved(fields: dict[str, Any], **settings: Any) -> Callable[[Path], None]:
    """A writer of a tokenizer's files: texts as they are, everything else as JSON."""

    def write(folder: Path) -> None:
        (folder / "tokenizer.json").unlink()
        for name, content in fields.items():
            text = content if isinstance(content, str) else json.dumps(content)
            (folder / name).write_text(text)
        if settings:
            (folder / "tokenizer_config.json").write_text(json.dumps(settings))

    return write


def _byte_level() -> dict[str, Any]:
    model = json.loads(tiny_models.tokenizer().to_str())["model"]
    merges = "\n".join(
        pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"]
    )
    return {"vocab.json": model["vocab"], "merges.txt": f"#version: 0.2\n{merges}\n"}


def _added() -> dict[str, Any]:
    tokens = {"bos_token": "<|start|>", "eos_token": "<|end|>"}
    return {**_byte_level(), "added_tokens.json": {"<|x|>": 300}, "special_tokens_map.json": tokens}


def _pieces(name: str, kind: str) -> Callable[[Path], None]:
    """A writer of a SentencePiece model, trained where its package is installed."""

    def write(folder: Path) -> None:
        (folder / "tokenizer.json").unlink()
        settings = {"tokenizer_class": kind, "bos_token": "<s>", "eos_token": "</s>"}
        (folder / "tokenizer_config.json").write_text(json.dumps(settings))
        if importlib.util.find_spec("sentencepiece") is None:
            (folder / name).write_bytes(b"x")
            return
        import sentencepiece  # noqa: PLC0415  an optional package

        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(tokenizer_families.LINES * 10),
            model_writer=(model := io.BytesIO()),
            vocab_size=340,
            model_type="bpe",
            byte_fallback=True,
            minloglevel=2,
        )
        (folder / name).write_bytes(model.getvalue())

    return write


WORDS = "\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnop", "the", "##s"])
GPT2 = {"tokenizer_class": "GPT2Tokenizer", "bos_token": "<|start|>", "eos_token": "<|end|>",
        "unk_token": "<|end|>"}  # fmt: skip
TOKENIZERS: dict[str, Callable[[Path], None]] = {
    "vocab.json and merges.txt": _saved(_byte_level(), **GPT2),
    "vocab.json, merges.txt, added tokens, special tokens": _saved(_added(), **GPT2),
    "vocab.txt": _saved({"vocab.txt": WORDS}, tokenizer_class="BertTokenizer"),
    "tokenizer.model": _pieces("tokenizer.model", "LlamaTokenizer"),
    "spiece.model": _pieces("spiece.model", "T5Tokenizer"),
    "sentencepiece.bpe.model": _pieces("sentencepiece.bpe.model", "MBartTokenizer"),
    "tekken.json": _saved({"tekken.json": {}}, tokenizer_class="MistralCommonBackend"),
    "a .tiktoken file": _saved({"qwen.tiktoken": ""}, tokenizer_class="PreTrainedTokenizerFast"),
}


def forms(scratch: Path, tally: Tally) -> None:
    """Tokenizers in other forms, and of other families; those that are not read are named."""
    writers: dict[str, Callable[[Path], None]] = dict(TOKENIZERS)
    for family in tokenizer_families.FAMILIES:
        writers[f"tokenizer.json, {family}"] = _family(family)
    for form, write in writers.items():
        folder = decoyed(tiny_models.write_model(scratch / "tokenizer"), TOKENIZER_DECOYS)
        write(folder)
        with opened(folder) as files:
            try:
                bundle(folder, trust_remote_code=False)
            except Faults as faults:
                tally.refused.append(f"{form}: {faults.diagnostics[0].message}")
        names = {file.relative_to(folder).as_posix() for file in files}
        found = {name for name in names if contents.holder(name, tokenizer=True) is None}
        tally.add("llama", "tokenizers in other forms", names, found)
        shutil.rmtree(folder)


def _family(family: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        tokenizer_families.trained(family).save(str(folder / "tokenizer.json"))

    return write


def lines(tally: Tally, seconds: float) -> Iterator[str]:
    yield "| what was loaded | times |"
    yield "|---|---:|"
    for form, times in tally.loads.items():
        yield f"| {form} | {times:,} |"
    yield ""
    shards = sum(n for name, n in tally.names.items() if "-of-" in name)
    yield f"{len(tally.kinds)} architectures, {sum(tally.names.values()):,} files opened "
    yield f"({shards:,} shards), {len(tally.unaccounted)} unaccounted; {seconds:.0f} s"
    for name, times in tally.names.most_common():
        if "-of-" not in name:
            yield f"  {times:6,}  {name}"
    yield from (f"refused: {line}" for line in tally.refused)
    yield from (f"UNACCOUNTED: {line}" for line in tally.unaccounted)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--tokenizers", action="store_true", help="only tokenizers' other forms")
    parser.add_argument("kinds", nargs="*", help="model types; all where none is named")
    options = parser.parse_args(arguments)
    kinds = () if options.tokenizers else options.kinds or tiny_architectures.KINDS
    transformers.utils.logging.disable_progress_bar()
    tally, start = Tally(), time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        for kind in kinds:
            print(kind, file=sys.stderr, flush=True)
            weighed(kind, Path(name), tally)
        forms(Path(name), tally)
    print("\n".join(lines(tally, time.monotonic() - start)))
    return 1 if tally.unaccounted else 0


if __name__ == "__main__":
    sys.exit(main())
