"""What the requests of a cell are made of: a digest or a plain value per component.

    template.KEY   type, description, prompt, choices, delimiter and chat (template, system, date)
    few-shot       the rendered shots; where each case draws its own, their definition and data
    tokenizer      the tokenizer without its chat template
    settings       generation settings that act, with the end-of-sequence ids
    length         longest input and overflow, where inputs are cut or windowed
    model weights, model config, adapter, quantization, model code    parts of the model's identity
    engine, dtype, attention, numerics, device                        parts of the engine's

Only what acts on a cell's requests is in: choices of a generation task are not.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evalc import _core
from evalc.plan.digests import Digests
from evalc.plan.planned import Planned
from evalc.plan.shots import rendered_shots
from evalc.store import Store

Loc = tuple[str | int, ...]

MODEL_PARTS = {
    "weights": "model weights",
    "config": "model config",
    "adapter": "adapter",
    "quantization": "quantization",
    "code": "model code",
    "engine": "engine",
    "dtype": "dtype",
    "attention": "attention",
    "numerics": "numerics",
    "device": "device",
}
"""Parts of an identity, and the components that they are."""
TEMPLATE_PARTS = {
    "multiple_choice": ("description", "prompt", "choices", "delimiter"),
    "generate": ("description", "prompt"),
    "perplexity": ("prompt",),
}
"""Keys of a task that make its texts, by type."""
MODEL_KEYS = {
    "template.chat": "chat",
    "length": "max_length",
    "adapter": "adapter",
    "quantization": "quantization",
    "model code": "trust_remote_code",
    "dtype": "dtype",
    "numerics": "numerics",
    "device": "device",
}
"""Components that a key of a model's table decides; the other model components come from `path`."""
SHORT, DIGEST = 12, 64


def digest(*parts: object) -> str:
    """Hex digest of values, by their canonical JSON."""
    # a name of a file or an argument may hold bytes of no encoding, as lone surrogates
    texts = [json.dumps(part, sort_keys=True, ensure_ascii=False) for part in parts]
    fields = [text.encode("utf-8", "surrogatepass") for text in texts]
    return _core.digest_fields("evalc.provenance.v1", fields)


def short(value: str) -> str:
    """A digest cut to 12 digits; a plain value as it is."""
    return value[:SHORT] if len(value) == DIGEST else value


class Provenance:
    """Components of every cell of a plan, each worked out when it is first asked for."""

    def __init__(self, planned: Planned, store: Store) -> None:
        self.planned = planned
        self.ir: dict[str, Any] = json.loads(planned.ir.content)
        self._store = store
        self._components: dict[int, dict[str, str]] = {}
        self._files: dict[str, str] = {}
        self._digests = Digests(store)

    def names(self, cell: int) -> tuple[str, str]:
        """Model and task."""
        return self.planned.selection.cells[cell]

    def task(self, cell: int) -> dict[str, Any]:
        """The task's table of the Ir."""
        task: dict[str, Any] = self.ir["tasks"][self.ir["cells"][cell]["task"]]
        return task

    def model(self, cell: int) -> dict[str, Any]:
        """The model's table of the Ir."""
        model: dict[str, Any] = self.ir["models"][self.ir["cells"][cell]["model"]]
        return model

    def dataset(self, cell: int) -> dict[str, Any]:
        """The table of the Ir of the task's dataset."""
        dataset: dict[str, Any] = self.ir["datasets"][self.task(cell)["dataset"]]
        return dataset

    def file(self, dataset: Mapping[str, Any]) -> str:
        """Hex digest of the content of a dataset's file."""
        path = dataset["path"]
        if path not in self._files:
            self._files[path] = self._digests.of([Path(path)])[0]
        return self._files[path]

    def data(self, cell: int) -> str:
        """Hex digest of the file that the cell's rows are in."""
        return self.file(self.dataset(cell))

    def definition(self, cell: int) -> str:
        """Digest of everything that defines the task but its name; equal for a renamed task.

        Of data files only the names count, so that a moved folder keeps its definitions.
        """
        parts = task_parts(self.ir, self.task(cell))
        parts["dataset"] = Path(parts["dataset"]).name
        if parts["fewshot"] is not None:
            source = Path(parts["fewshot"]["dataset"]).name
            parts["fewshot"] = {**parts["fewshot"], "dataset": source}
        return digest(parts)

    def components(self, cell: int) -> dict[str, str]:
        """Value of each component; empty where a component is not in use."""
        if cell not in self._components:
            self._components[cell] = self._of(cell)
        return self._components[cell]

    def _of(self, cell: int) -> dict[str, str]:
        task, model = self.task(cell), self.model(cell)
        facts = self.bundle(model["bundle"])
        found = {"template.type": task["kind"]}
        for key in TEMPLATE_PARTS[task["kind"]]:
            # an empty delimiter is not the default one; an empty description is none
            absent = task[key] is None or (key == "description" and not task[key])
            found[f"template.{key}"] = "" if absent else digest(task[key])
        asks = task["kind"] != "perplexity"
        found["template.chat"] = ""
        if model["chat"] and asks:
            found["template.chat"] = digest(facts["chat"], model["system"], model["date"])
        found["few-shot"] = self._shots(cell) if task["fewshot"] and asks else ""
        found["tokenizer"] = facts["tokenizer"]
        found["settings"] = _settings(task["generate"], facts["eos_ids"])
        cut = not asks or self.planned.summary["cells"][cell]["truncated"]
        found["length"] = f"{model['max_length']} {task['overflow']}" if cut else ""
        parts = self.planned.models[self.ir["cells"][cell]["model"]].identity.components
        return {**found, **{name: parts.get(part, "") for part, name in MODEL_PARTS.items()}}

    def _shots(self, cell: int) -> str:
        task = self.task(cell)
        fewshot = task["fewshot"]
        source = self.ir["datasets"][fewshot["dataset"]]
        own = source["path"] == self.dataset(cell)["path"]
        text = rendered_shots(self.planned, cell, self.model(cell), task, own)
        if text is not None:
            return digest("rendered", text)
        drawn = [source["rows"], source["where"], source["id"]]
        rest = {key: value for key, value in fewshot.items() if key != "dataset"}
        return digest("drawn", rest, drawn, self.file(source))

    def bundle(self, path: str) -> dict[str, Any]:
        """Digests of a tokenizer bundle, remembered by its name, which is its content's digest."""
        note = b"bundle:" + Path(path).stem.encode()
        known = self._store.note(note)
        if known is not None and (noted := _facts(known)) is not None:
            return noted
        content = json.loads(Path(path).read_bytes())
        own = [content[key] for key in ("tokenizer_json", "prefix_ids", "empty_context_ids")]
        facts: dict[str, Any] = {
            "tokenizer": digest(*own),
            "chat": digest(content["chat_template"], content["special_tokens"]),
            "eos_ids": sorted(set(content["eos_ids"])),
        }
        self._store.remember(note, json.dumps(facts).encode())
        return facts

    def loc(self, cell: int, component: str) -> Loc:
        """Where the spec says what a component is."""
        model, task = self.names(cell)
        if component == "row":
            return ("datasets", self.dataset(cell)["name"], "path")
        if component == "few-shot":
            return ("tasks", task, "fewshot")
        if component == "settings":
            return ("tasks", task, "generate")
        if component.startswith("template.") and component != "template.chat":
            return ("tasks", task, component.removeprefix("template."))
        return ("models", model, MODEL_KEYS.get(component, "path"))


def task_parts(ir: Mapping[str, Any], task: Mapping[str, Any]) -> dict[str, Any]:
    """A task of the Ir by the keys of the spec, datasets by the paths that a user knows.

    Without its program and what its hooks are shown: they judge answers and ask nothing.
    """
    left_out = ("name", "kind", "program", "shown")
    parts = {key: value for key, value in task.items() if key not in left_out}
    parts["type"] = task["kind"]
    parts["dataset"] = ir["datasets"][task["dataset"]]["origin"]
    if task["fewshot"] is not None:
        source = ir["datasets"][task["fewshot"]["dataset"]]
        parts["fewshot"] = {**task["fewshot"], "dataset": source["origin"]}
    return parts


def _settings(generate: Mapping[str, Any] | None, eos_ids: list[int]) -> str:
    """Digest of generation settings; what greedy decoding does not look at is left out."""
    if generate is None:
        return ""
    acting = {"max_new_tokens": generate["max_new_tokens"], "stop": sorted(set(generate["stop"]))}
    if generate["temperature"]:
        names = ("temperature", "top_p", "top_k", "seed", "repeats")
        acting |= {name: generate[name] for name in names}
    return digest(acting, eos_ids)


def _facts(noted: bytes) -> dict[str, Any] | None:
    """What is noted of a bundle; None where it is something else."""
    try:
        facts: dict[str, Any] = json.loads(noted)
        sound = all(isinstance(facts[key], str) for key in ("tokenizer", "chat"))
        return facts if sound and isinstance(facts["eos_ids"], list) else None
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
