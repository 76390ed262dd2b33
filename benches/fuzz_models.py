"""Mutated model folders through `plan` and `exec`: a diagnostic or a run, never anything else.

    .venv/bin/python benches/fuzz_models.py --seconds 600 [--seed 0] [--keep FOLDER]

Every input is a tiny model, some with an adapter or in shards, of which one file is mutated: its
JSON (values, keys, types, depth), its bytes, a safetensors header, or what kind of file it is. It
is planned and asked in a forked child, and counts as found when it ends in an internal error, a
traceback, a signal, more than `SECONDS` or more than `GROWTH` of memory. What is found is kept and
exits with 1.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import random
import re
import resource
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import transformers

from evalc.cli import main
from evalc.exec import bundle
from evalc.plan import tokenizers

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from tiny_models import write_adapter, write_model, write_shards

SECONDS = 20
GROWTH = 2 << 30
"""Bytes of memory that an input may take beyond what the process has."""
SPEC = """evalc = 1
[models.m]
path = "{path}"
[datasets.d]
path = "d.jsonl"
[tasks.t]
dataset = "d"
type = "generate"
prompt = "{{{{ q }}}}"
target = "x"
generate = {{ max_new_tokens = 2 }}
metrics = ["exact_match"]
[tasks.c]
dataset = "d"
type = "multiple_choice"
prompt = "{{{{ q }}}}"
choices = ["a", "b"]
target = 0
metrics = ["acc"]
"""
FILES = (
    *("config.json", "config.json", "config.json", "tokenizer.json", "tokenizer_config.json"),
    *("generation_config.json", "adapter_config.json", "model.safetensors.index.json"),
    *("model.safetensors", "adapter_model.safetensors", "chat_template.jinja"),
)
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 7, 255, 2**31, 2**63, 10**12, 10**9, 10**400, -(2**40)),
    *(0.5, -0.0, 1e308, float("nan"), float("inf"), "", "x", "../..", "\ud800", "\x1b[2J", "7"),
    *("none", "x" * 100_000, [], {}, [0], [None], ["\x00"], {"a": {}}, [[]], [1e9], {"0": 0}),
    *("llama", "gpt2", "mamba", "bert", "float32", "auto", "eager", "flash_attention_2"),
)
KEYS = (
    *("num_labels", "id2label", "label2id", "auto_map", "quantization_config", "text_config"),
    *("transformers_weights", "configuration_files", "is_encoder_decoder", "layer_types"),
    *("rope_scaling", "rope_parameters", "tie_word_embeddings", "dtype", "architectures"),
    *("attn_implementation", "_attn_implementation", "return_dict", "output_attentions"),
    *("output_hidden_states", "use_cache", "torchscript", "head_dim", "pad_token_id"),
    *("eos_token_id", "bos_token_id", "max_position_embeddings", "attention_bias", "hidden_act"),
    *("num_hidden_layers", "vocab_size", "hidden_size", "problem_type", "sliding_window"),
    *("attn_logit_softcapping", "chat_template", "model_max_length", "added_tokens_decoder"),
    *("modules_to_save", "rank_pattern", "layers_to_transform", "layer_replication", "use_dora"),
    *("init_lora_weights", "auto_mapping", "loftq_config", "trainable_token_indices", "peft_type"),
    *("base_model_name_or_path", "target_parameters", "megatron_config", "exclude_modules"),
)


def bases(folder: Path) -> list[Path]:
    """Folders to start from."""
    plain = write_model(folder / "plain")
    chat = write_model(folder / "chat", chat="{{ messages[0]['content'] }}")
    (chat / "generation_config.json").write_text('{"eos_token_id": [1, 2], "temperature": 0.5}')
    adapted = write_model(folder / "adapted", attention_bias=True)
    write_adapter(adapted, bias="all")
    sharded = write_model(folder / "sharded", rope_scaling={"rope_type": "linear", "factor": 2.0})
    write_shards(sharded, ["model.norm.weight"])
    return [plain, chat, adapted, sharded]


def mutate(file: Path, chance: random.Random) -> str:
    """Change a file; what was done, in words."""
    how = chance.random()
    if how < 0.05:
        return _replaced(file, chance)
    if how < 0.2:
        file.write_bytes(_damaged(file.read_bytes(), chance))
        return "bytes"
    if file.suffix == ".json":
        content = json.loads(file.read_bytes())
        for _ in range(chance.choice((1, 1, 1, 2, 4))):
            content = _edited(content, chance)
        file.write_text(_text(content, chance), "utf-8", "surrogatepass")
        return "json"
    if file.suffix == ".safetensors":
        raw = file.read_bytes()
        length = int.from_bytes(raw[:8], "little")
        header = json.dumps(_edited(json.loads(raw[8 : 8 + length]), chance))
        size = chance.choice((len(header), len(header), len(header), 2**63, length, 0))
        file.write_bytes(size.to_bytes(8, "little") + header.encode() + raw[8 + length :])
        return "header"
    file.write_bytes(_damaged(file.read_bytes(), chance))
    return "bytes"


def _text(content: Any, chance: random.Random) -> str:
    """JSON, now and then with a bomb of depth or length in place of one value."""
    text = json.dumps(content, ensure_ascii=chance.random() < 0.5)
    if chance.random() < 0.05:
        bomb = chance.choice(("[" * 200_000, '{"a":' * 100_000, "9" * 5_000, "1e" + "9" * 50))
        whole = chance.random() < 0.5 and bomb[0] in "[{"
        closing = "]" * 200_000 if bomb[0] == "[" else "1" + "}" * 100_000
        value = bomb + closing if whole else bomb
        return re.sub(r": (\d+|true|null)", lambda _: f": {value}", text, count=1)
    return text


def _edited(content: Any, chance: random.Random) -> Any:
    """A JSON value with one place of it changed."""
    if isinstance(content, dict) and content and chance.random() < 0.85:
        return _edited_object(content, chance)
    if isinstance(content, list) and content and chance.random() < 0.7:
        return _edited_list(content, chance)
    if isinstance(content, int) and chance.random() < 0.3:
        return content + chance.choice((-1, 1, 2, content, 1000))
    return chance.choice(VALUES)


def _edited_object(content: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    key, how = chance.choice(list(content)), chance.random()
    if how < 0.1:
        return {k: v for k, v in content.items() if k != key}
    if how < 0.25:
        return {**content, chance.choice(KEYS): chance.choice(VALUES)}
    if how < 0.3:
        return {**content, key: content[chance.choice(list(content))]}
    return {**content, key: _edited(content[key], chance)}


def _edited_list(content: list[Any], chance: random.Random) -> list[Any]:
    at, how = chance.randrange(len(content)), chance.random()
    if how < 0.2:
        return content[:at] + content[at + 1 :]
    if how < 0.3:
        return content * 3
    return [*content[:at], _edited(content[at], chance), *content[at + 1 :]]


def _damaged(raw: bytes, chance: random.Random) -> bytes:
    at, to = sorted(chance.randrange(len(raw) + 1) for _ in range(2))
    return chance.choice(
        (
            lambda: b"",
            lambda: raw[:at],
            lambda: raw[:at] + raw[to:],
            lambda: raw[:at] + bytes([chance.randrange(256)]) + raw[at + 1 :],
            lambda: raw[:at] + bytes(64) + raw[at:],
            lambda: raw[:to] + raw[at:],
            lambda: b"\xef\xbb\xbf" + raw,
            lambda: raw.decode("latin1").encode("utf-16"),
            lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
        )
    )()


def _replaced(file: Path, chance: random.Random) -> str:
    """Something else in place of a file."""
    file.unlink()
    kinds: dict[str, Callable[[], object]] = {
        "nothing": lambda: None,
        "a folder": file.mkdir,
        "a pipe": lambda: os.mkfifo(file),
        "a loop": lambda: file.symlink_to(file.name),
        "a dangling link": lambda: file.symlink_to("nowhere"),
        "a device": lambda: file.symlink_to("/dev/zero"),
    }
    kind = chance.choice(list(kinds))
    kinds[kind]()
    return kind


def in_process(command: list[str], **_: Any) -> Any:
    """The child that reads a tokenizer, without a second to start it."""
    err = io.StringIO()
    with contextlib.redirect_stderr(err):
        try:
            code = bundle.main(command[3:])
        except SystemExit as end:
            code = int(end.code or 0)
    return subprocess.CompletedProcess(command, code, "", err.getvalue())


def run(root: Path) -> tuple[int, str, float]:
    """`exec` in a fork: exit code (negative: a signal; -99: no end), what it said, its memory."""
    said = root / "said"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    pid = os.fork()
    if pid == 0:
        _child(root, said)
    ready = os.pidfd_open(pid)
    ended = select.select([ready], [], [], SECONDS)[0]
    if not ended:
        os.kill(pid, signal.SIGKILL)
    _, status, used = os.wait4(pid, 0)
    os.close(ready)
    code = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
    return (code if ended else -99), said.read_text("utf-8", "replace"), used.ru_maxrss - before


def _child(root: Path, said: Path) -> None:
    out = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(out, 1)
    os.dup2(out, 2)
    os.chdir(root)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    room = pages * resource.getpagesize() + 2 * GROWTH
    resource.setrlimit(resource.RLIMIT_AS, (room, room))
    tokenizers.subprocess.run = in_process  # type: ignore[attr-defined]
    code = 1
    try:
        main(["exec", "specs", "--cache", "cache"])
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException as failure:
        os.write(2, f"Traceback: {failure!r}".encode("utf-8", "replace"))
    finally:
        os._exit(code)


def verdict(code: int, said: str, growth: float) -> str:
    """What an outcome counts as: its diagnostics, `ran`, or a word in capitals."""
    if code == -99:
        return "HANG"
    if code < 0:
        return f"SIGNAL {-code}"
    if "internal error" in said or "Traceback" in said:
        return "INTERNAL ERROR"
    if growth * 1024 > GROWTH:
        return "MEMORY"
    codes = sorted(set(re.findall(r"error\[([a-z-]+)\]", said)))
    return " ".join(codes) if codes else ("ran" if code == 0 else f"SILENT {code}")


def fuzz(seconds: float, seed: int, keep: Path) -> Counter[str]:
    """Outcomes by name."""
    outcomes: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        models = bases(folder / "bases")
        until, number = time.monotonic() + seconds, seed
        while time.monotonic() < until:
            chance = random.Random(number)
            root = folder / "run"
            shutil.rmtree(root, ignore_errors=True)
            model = shutil.copytree(chance.choice(models), root / "m")
            there = [name for name in FILES if (model / name).exists()]
            file = model / chance.choice(there)
            how = mutate(file, chance)
            (root / "specs").mkdir()
            (root / "specs" / "spec.toml").write_text(SPEC.format(path=model))
            (root / "specs" / "d.jsonl").write_text('{"q": "one and two"}\n{"q": "three"}\n')
            found = verdict(*(outcome := run(root)))
            outcomes[found] += 1
            if found[0].isupper():
                kept = keep / f"{number}-{found.replace(' ', '-').lower()}"
                shutil.rmtree(kept, ignore_errors=True)
                kept.parent.mkdir(parents=True, exist_ok=True)
                shutil.copytree(root, kept, symlinks=True, ignore=_pipes)
                print(f"{number}: {found}: {file.name}, {how}: {outcome[1][-300:]!r}", flush=True)
            number += 1
    return outcomes


def _pipes(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if (Path(folder) / name).is_fifo()]


def command_line() -> int:
    """Run the bench."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path("/tmp/fuzz_models"))
    asked = parser.parse_args()
    # what transformers imports late would be imported by every child
    _ = (transformers.LlamaForCausalLM, transformers.PreTrainedTokenizerFast)
    outcomes = fuzz(asked.seconds, asked.seed, asked.keep)
    for name, count in outcomes.most_common():
        print(f"{count:6} {name}")
    bad = sum(count for name, count in outcomes.items() if name[0].isupper())
    print(f"{sum(outcomes.values())} inputs, {bad} found")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(command_line())
