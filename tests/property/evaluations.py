"""An evaluation as a value: its spec, data, models and scorers, and how to write them down.

Everything that an edit may touch is a plain dict or list here; `Evaluation.write` makes the files
of a folder what the value says, and leaves alone what is the same already.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tiny_models import CHATML, MERGES, write_adapter, write_model

WEIGHTS = (7, 8, 9)
"""Seeds of the weights that models are made of."""
SETTLE_SECONDS = 0.03
"""Longer than `evalc.plan.digests.RACY_NS` as the sequences set it."""
COLOURS = ("red", "green", "blue", "white")
SCORER = """
FACTOR = {factor}
def judge(case):
    return FACTOR * len(case["texts"][0]) / 64
def letters(text, case):
    return text[:{letters}]
"""
SHAPER = """
def shape(rows):
    return [{{**row, "q": row["q"] + "{suffix}"}} for row in rows]
"""


@dataclass
class Model:
    """A model's directory. `inert` is a configuration key that changes no function."""

    weights: int = 7
    linked: bool = False
    theta: float = 10000.0
    inert: str = "5.0"
    merge_gone: bool = False
    starts_with_bos: bool = False
    template: str = CHATML


@dataclass
class Evaluation:
    """Tables of the spec, rows by file, models by directory, and the numbers in the hooks."""

    tables: dict[str, dict[str, Any]]
    rows: dict[str, list[dict[str, Any]]]
    models: dict[str, Model]
    adapter: int = 3
    hooks: dict[str, Any] = field(default_factory=dict)
    comment: str = ""
    backwards: bool = False

    def write(self, root: Path, store: Path) -> None:
        """Make the files under `root` what this evaluation says; `store` has models to link to."""
        specs = root / "specs"
        specs.mkdir(parents=True, exist_ok=True)
        _put(specs / "spec.toml", self._toml())
        _put(specs / "scorer.py", SCORER.format(**self.hooks))
        _put(specs / "shaper.py", SHAPER.format(**self.hooks))
        for name, rows in self.rows.items():
            lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            _put(specs / name, "".join(lines))
        for name, model in self.models.items():
            _write_model(root / name, model, store)
        _put_bytes(root / "adapter" / "adapter_config.json", _adapter(store, 3, "config.json"))
        weights = _adapter(store, self.adapter, "model.safetensors")
        _put_bytes(root / "adapter" / "adapter_model.safetensors", weights)

    def _toml(self) -> str:
        lines = ["evalc = 1", f"# {self.comment}"]
        names = list(self.tables)
        for name in names[::-1] if self.backwards else names:
            entries = list(self.tables[name].items())
            lines += ["", f"[{name}]"]
            for key, value in entries[::-1] if self.backwards else entries:
                lines.append(f"{key} = {_toml(value)}  # {self.comment}")
        return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(own)}" for key, own in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def start() -> Evaluation:
    """What every sequence begins with: four tasks of three kinds for one model."""
    generate = {"max_new_tokens": 4, "stop": ["\n"], "temperature": 0.0, "repeats": 1, "seed": 0}
    shots = {"dataset": "shots", "k": 2, "select": "first", "seed": 1, "template": "{{ q }}{{ a }}"}
    return Evaluation(
        tables={
            "models.m": {"path": "../model", "dtype": "float32", "max_length": 200},
            "datasets.quiz": {"path": "quiz.jsonl", "prepare": "shaper:shape"},
            "datasets.sums": {"path": "sums.jsonl"},
            "datasets.shots": {"path": "shots.jsonl"},
            "tasks.quiz": {
                **{"dataset": "quiz", "type": "multiple_choice", "prompt": "{{ q }}"},
                **{"choices": "{{ c }}", "target": "{{ a }}", "metrics": ["acc"]},
                "overflow": "truncate",
            },
            "tasks.sums": {
                **{"dataset": "sums", "type": "generate", "prompt": "{{ q }}"},
                **{"target": "{{ a }}", "metrics": ["exact_match"], "generate": generate},
                "overflow": "truncate",
            },
            "tasks.shots": {
                **{"dataset": "sums", "type": "generate", "prompt": "{{ q }}"},
                **{"target": "{{ a }}", "metrics": ["exact_match", "scorer:judge"]},
                **{"generate": dict(generate), "extract": {"python": "scorer:letters"}},
                "overflow": "truncate",
                "fewshot": {**shots, "separator": "; "},
            },
            "tasks.text": {
                **{"dataset": "sums", "type": "perplexity", "prompt": "{{ q }} {{ a }}"},
                "metrics": ["word_perplexity"],
            },
        },
        rows={
            "quiz.jsonl": [quiz_row(n) for n in range(5)],
            "sums.jsonl": [sum_row(n) for n in range(4)],
            "shots.jsonl": [sum_row(n) for n in range(40, 46)],
        },
        models={"model": Model()},
        hooks={"factor": 0.25, "letters": 2, "suffix": "."},
    )


def quiz_row(n: int) -> dict[str, Any]:
    """A question with four choices and the index of the right one."""
    return {"n": n, "q": f"Q{n} the other x?", "c": list(COLOURS), "a": n % 4}


def sum_row(n: int) -> dict[str, Any]:
    """An addition and its answer."""
    return {"n": n, "q": f"{n}+{n + 1} =", "a": str(2 * n + 1)}


def prepare_models(store: Path) -> None:
    """Write, once, every weight file and adapter that evaluations use."""
    for seed in WEIGHTS:
        write_model(store / f"weights-{seed}", seed=seed)
    for seed in (3, 4):
        write_adapter(store / f"adapter-{seed}", seed)


def weights_of(store: Path, seed: int) -> Path:
    """The file with the weights of a seed."""
    return store / f"weights-{seed}" / "model.safetensors"


def _adapter(store: Path, seed: int, name: str) -> bytes:
    return (store / f"adapter-{seed}" / f"adapter_{name}").read_bytes()


def _write_model(folder: Path, model: Model, store: Path) -> None:
    folder.mkdir(exist_ok=True)
    plain = store / f"weights-{WEIGHTS[0]}"
    config = json.loads((plain / "config.json").read_text())
    config |= {"rope_theta": model.theta, "transformers_version": model.inert}
    _put(folder / "config.json", json.dumps(config))
    _put_bytes(folder / "tokenizer_config.json", (plain / "tokenizer_config.json").read_bytes())
    _put(folder / "tokenizer.json", tokenizer_json(plain, model))
    _put(folder / "chat_template.jinja", model.template)
    _write_weights(folder / "model.safetensors", weights_of(store, model.weights), model.linked)


def _write_weights(path: Path, wanted: Path, linked: bool) -> None:
    """A link that is pointed elsewhere, or a file that is written over and keeps its times."""
    if linked:
        if not (path.is_symlink() and path.resolve() == wanted.resolve()):
            path.unlink(missing_ok=True)
            path.symlink_to(wanted)
        return
    if path.is_symlink():
        path.unlink()
    if not path.exists():
        shutil.copyfile(wanted, path)
    elif path.read_bytes() != wanted.read_bytes():
        state = path.stat()
        with path.open("r+b") as stream:
            stream.write(wanted.read_bytes())
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    else:
        return
    time.sleep(SETTLE_SECONDS)


def tokenizer_json(plain: Path, model: Model) -> str:
    """The tokenizer file of a model, perhaps with a merge gone or the first token put in front."""
    fields = json.loads((plain / "tokenizer.json").read_text())
    if model.merge_gone:
        assert MERGES[-2] == " x"
        merges = fields["model"]["merges"]
        fields["model"]["merges"] = [own for own in merges if own not in (["Ġ", "x"], "Ġ x")]
    if model.starts_with_bos:
        first = {"SpecialToken": {"id": "<|start|>", "type_id": 0}}
        text = {"Sequence": {"id": "A", "type_id": 0}}
        known = {"id": "<|start|>", "ids": [0], "tokens": ["<|start|>"]}
        fields["post_processor"] = {
            **{"type": "TemplateProcessing", "single": [first, text]},
            **{"pair": [first, text, {"Sequence": {"id": "B", "type_id": 1}}]},
            "special_tokens": {"<|start|>": known},
        }
    return json.dumps(fields)


def _put(path: Path, text: str) -> None:
    _put_bytes(path, text.encode())


def _put_bytes(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_bytes() != content:
        path.write_bytes(content)
