"""docs/architecture.md says what is in which key; here each of its lines is edited.

A line without an edit, or an edit without a line, fails.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_tokens import family

from evalc import _core
from evalc.plan import functions, identity
from evalc.plan.checkpoint import read_checkpoint
from evalc.plan.digests import Digests
from evalc.plan.tokenizers import bundle
from evalc.score import CellRecords, CodeSettings, Extract, Scoring, score_cell, scorers
from evalc.score.cache import ScoreCache
from evalc.score.metrics import code, overlap
from evalc.store import Store
from evalc.store.environment import SCORES
from planned_requests import dataset, ir, task
from tiny_models import write_adapter, write_model, write_rows
from workspaces import SUMS, Workspace, sum_rows

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "architecture.md"
Patch = pytest.MonkeyPatch


def listed() -> tuple[set[tuple[str, str]], set[str]]:
    """The lines of the table, as (key, what), and those of the list of what is in no key."""
    text = DOCUMENT.read_text(encoding="utf-8").partition("### What is in which key")[2]
    table, _, rest = text.partition("\nIn no key:\n")
    rows = [line.strip("| ").split(" | ", 1) for line in table.splitlines() if line[:2] == "| "]
    lines = rest.partition("\n\nWhat acts")[0].splitlines()
    return (
        {(key.strip("`"), what) for key, what in rows if key != "key"},
        {line.removeprefix("- ") for line in lines if line.startswith("- ")},
    )


@dataclass
class Model:
    """A model directory with an adapter and code of its own, and how it is run."""

    folder: Path
    options: dict[str, str | None] = field(
        default_factory=lambda: {"quantization": None, "dtype": "float32", "device": "cpu"}
    )
    numerics: str = "stable"

    def found(self) -> identity.Identity:
        return identity.identify(
            read_checkpoint(self.folder, None, "m"),
            adapter=self.folder / "adapter",
            trust_remote_code=True,
            numerics=self.numerics,
            digests=Digests(None),
            place=None,
            **self.options,  # type: ignore[arg-type]
        )

    def edit(self, name: str, change: Callable[[dict[str, Any]], Any]) -> None:
        path = self.folder / name
        path.write_text(json.dumps(change(json.loads(path.read_text()))))

    def flip(self, name: str) -> None:
        """Other bits at the end of a file of weights."""
        path = self.folder / name
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)


@pytest.fixture
def model(tmp_path: Path) -> Model:
    folder = write_model(tmp_path / "model")
    write_adapter(folder / "adapter")
    (folder / "own.py").write_text("A = 1\n")
    return Model(folder)


MODEL: dict[str, Callable[[Model, Patch], object]] = {
    "the content of the safetensors files": lambda m, _: m.flip("model.safetensors"),
    "the names of the safetensors files": lambda m, _: (m.folder / "model.safetensors").rename(
        m.folder / "other.safetensors"
    ),
    "`config.json`, but for the keys in `identity.INERT`": lambda m, _: m.edit(
        "config.json", lambda c: {**c, "rope_theta": 5.0}
    ),
    "the adapter's configuration": lambda m, _: m.edit(
        "adapter/adapter_config.json", lambda c: {**c, "lora_alpha": 8}
    ),
    "the adapter's weights": lambda m, _: m.flip("adapter/adapter_model.safetensors"),
    "the name of a quantisation": lambda m, _: m.options.update(quantization="8bit"),
    "the model folder's `*.py`, where `trust_remote_code` is set": lambda m, _: (
        m.folder / "own.py"
    ).write_text("A = 2\n"),
}
ENGINE: dict[str, Callable[[Model, Patch], object]] = {
    "`ENGINE_VERSION`": lambda _, p: p.setattr(
        identity, "ENGINE_VERSION", identity.ENGINE_VERSION + 1
    ),
    "the dtype": lambda m, _: m.options.update(dtype="bfloat16"),
    "the attention family": lambda m, _: m.edit(
        "config.json", lambda c: {**c, "attn_logit_softcapping": 50.0}
    ),
    "the numerics class": lambda m, _: setattr(m, "numerics", "fast"),
    "the device kind": lambda m, _: m.options.update(device="cuda"),
}


@pytest.mark.parametrize("line", MODEL)
def test_what_is_in_a_models_id_changes_it(line: str, model: Model, monkeypatch: Patch) -> None:
    before = model.found()
    MODEL[line](model, monkeypatch)
    after = model.found()
    assert after.model_id != before.model_id
    assert after.engine_id == before.engine_id


@pytest.mark.parametrize("line", ENGINE)
def test_what_is_in_an_engines_id_changes_it(line: str, model: Model, monkeypatch: Patch) -> None:
    before = model.found()
    ENGINE[line](model, monkeypatch)
    assert model.found().engine_id != before.engine_id


@pytest.mark.parametrize("name", sorted(identity.INERT))
def test_what_the_configuration_has_without_meaning_changes_no_id(name: str, model: Model) -> None:
    before = model.found()
    model.edit("config.json", lambda config: {**config, name: "edited"})
    assert model.found() == before


GENERATE = {
    "max_new_tokens": 2,
    "stop": ["a"],
    "temperature": 0.5,
    "top_p": 0.9,
    "top_k": 3,
    "repeats": 1,
    "seed": 1,
}


class Request:
    """One request: a sampled generation, or a log-likelihood."""

    def __init__(self, folder: Path) -> None:
        self.rows = folder / "rows.jsonl"
        self.bundle = folder / "bundle.json"
        self.bundle.write_bytes(family("byte_level", False).bundle.read_bytes())
        self.model: dict[str, str] = {}
        self.task: dict[str, Any] = {"prompt": "+)(", "kind": "generate", "choices": None}
        self.generate = dict(GENERATE)
        write_rows(self.rows, [{"p": "+"}])

    def keys(self) -> set[bytes]:
        generates = self.task["kind"] == "generate"
        asked = task(**self.task, generate=self.generate if generates else None)
        plan = _core.Plan.build(ir(self.bundle, [dataset(self.rows)], [asked], **self.model))
        flat = plan.keys()
        return {flat[at : at + 32] for at in range(0, len(flat), 32)}

    def scored(self, prompt: str, choice: str) -> None:
        """Ask for a likelihood of the same text instead."""
        self.task = {
            "prompt": prompt,
            "kind": "multiple_choice",
            "delimiter": "",
            "choices": {"list": [choice]},
        }

    def end(self) -> None:
        """Other ids that end a generation."""
        fields = json.loads(self.bundle.read_text())
        fields["eos_ids"] = [*fields["eos_ids"], 5]
        self.bundle.write_text(json.dumps(fields))


@pytest.fixture
def asked(tmp_path: Path) -> Request:
    return Request(tmp_path)


REQUEST: dict[str, Callable[[Request], object]] = {
    "`model_id`": lambda r: r.model.update(model_id="33" * 32),
    "`engine_id`": lambda r: r.model.update(engine_id="44" * 32),
    "its kind: a log-likelihood or a generation": lambda r: r.scored("+)", "("),
    "the token ids": lambda r: r.task.update(prompt="+)+"),
    "where scoring starts": lambda r: r.scored("+", ")("),
    "the longest generation": lambda r: r.generate.update(max_new_tokens=3),
    "the stops": lambda r: r.generate.update(stop=["b"]),
    "the ids that end a generation": Request.end,
    "the temperature": lambda r: r.generate.update(temperature=0.6),
    "above temperature 0, top-p": lambda r: r.generate.update(top_p=0.8),
    "above temperature 0, top-k": lambda r: r.generate.update(top_k=4),
    "above temperature 0, the seed": lambda r: r.generate.update(seed=2),
    "above temperature 0, the repeat": lambda r: r.generate.update(repeats=2),
}


@pytest.mark.parametrize("line", REQUEST)
def test_what_is_in_a_request_makes_another_key(line: str, asked: Request) -> None:
    if line == "where scoring starts":
        asked.scored("+)", "(")
    before = asked.keys()
    REQUEST[line](asked)
    after = asked.keys()
    assert after - before
    # another repeat is another request beside the first; all else replaces it
    assert bool(after & before) == (line == "above temperature 0, the repeat")


HOOK = "from listed_rules import WORTH\n\ndef judge(case):\n    return WORTH\n"


class Scores:
    """One case with its records, scored by a hook, by a program and by BLEU."""

    def __init__(self, folder: Path, patch: Patch) -> None:
        self.folder = folder
        self.patch = patch
        self.text, self.target = "a cat sat on the mat", "the cat sat on a mat"
        self.case: dict[str, Any] = {"row": {"n": 1}, "prompt": "q", "choices": []}
        self.id = "one"
        self.extract = Extract()
        self.code = CodeSettings("print({{ completion | tojson }})", timeout=30)
        self.hook = "listed_scorers:judge"
        self.metrics = [self.hook, "code_pass@1", "bleu"]
        self.write("scorers", HOOK)
        self.write("rules", "WORTH = 1\n")
        self.stores = 0

    def write(self, name: str, text: str) -> None:
        (self.folder / f"listed_{name}.py").write_text(text)

    def cell(self) -> CellRecords:
        return CellRecords(
            model="m",
            task="t",
            kind="generate",
            case_ids=[self.id],
            targets=[json.dumps(self.target)],
            offsets=np.array([0, 1], dtype=np.uint32),
            texts=[self.text],
            row=lambda _: {**self.case, "target": self.target},
        )

    def keys(self, *metrics: str) -> set[bytes]:
        """Score keys of a report into an empty store."""
        self.stores += 1
        scoring = Scoring(metrics or tuple(self.metrics), {"": self.extract}, self.code)
        with Store.open(self.folder / f"store{self.stores}") as store:
            score_cell(
                self.cell(),
                scoring,
                root=self.folder,
                allow_code_execution=True,
                cache=ScoreCache(store),
            )
            return {key for batch in store.scan(SCORES) for key, _ in batch}


@pytest.fixture
def scored(tmp_path: Path, monkeypatch: Patch) -> Iterator[Scores]:
    yield Scores(tmp_path, monkeypatch)


def _layer(s: Scores) -> None:
    """The same function extracts instead of judging."""
    s.write("scorers", "def judge(*seen):\n    return '1'\n")
    s.extract, s.metrics = Extract(python=s.hook), ["exact_match"]


def _room(s: Scores) -> None:
    s.patch.setattr(scorers, "room_digest", lambda files: "0" * 64)


PROGRAM, BLEU = ("code_pass@1",), ("bleu",)
SCORE: dict[str, tuple[tuple[str, ...], Callable[[Scores], object]]] = {
    "the layer: extraction, metric or program": ((), _layer),
    "the name of the scorer": (
        (),
        lambda s: (s.write("twin", HOOK), s.metrics.__setitem__(0, "listed_twin:judge")),
    ),
    "a hook's source": ((), lambda s: s.write("scorers", HOOK + "# edited\n")),
    "what the hook imports of the spec's own folder": (
        (),
        lambda s: s.write("rules", "WORTH = 2\n"),
    ),
    "the versions of the packages that the hook imports": (
        (),
        lambda s: s.patch.setattr(functions, "package_state", lambda name: "99"),
    ),
    "the files of evalc's score room that take part": (PROGRAM, _room),
    "the Python that runs it": (
        PROGRAM,
        lambda s: s.patch.setattr(scorers, "interpreter", lambda: "CPython 3.99.0"),
    ),
    "the limits of a program: time, memory, file size": (
        PROGRAM,
        lambda s: setattr(s, "code", replace(s.code, memory_mb=1024)),
    ),
    "what the model said: texts or log-likelihoods, as the scorer sees them": (
        (),
        lambda s: setattr(s, "text", "a dog"),
    ),
    "the answers that were extracted, for a metric": (
        BLEU,
        lambda s: setattr(s, "extract", Extract(regex="cat.*")),
    ),
    "the row, the prompt, the choices, the target and the id, for a hook": (
        (),
        lambda s: s.case.update(row={"n": 2}),
    ),
    "the text of a program": (
        PROGRAM,
        lambda s: setattr(s, "code", replace(s.code, program="pass")),
    ),
    "the versions of the packages that a program may import": (
        PROGRAM,
        lambda s: s.patch.setattr(code, "packages_in", lambda program: [("numpy", "99")]),
    ),
    "the version of sacrebleu, for BLEU and chrF": (
        BLEU,
        lambda s: s.patch.setattr(overlap, "version", lambda name: "99"),
    ),
}


@pytest.mark.parametrize("line", SCORE)
def test_what_is_in_a_score_key_makes_another(line: str, scored: Scores) -> None:
    metrics, edit = SCORE[line]
    only = metrics or (scored.hook,)
    if "packages that the hook" in line:
        scored.write("scorers", "import numpy\n" + HOOK)
    before = scored.keys(*only)
    edit(scored)
    after = scored.keys(*(metrics or scored.metrics[:1]))
    assert before and after
    assert not before & after


@pytest.mark.parametrize(
    "edit",
    [
        lambda s: s.case.update(prompt="other"),
        lambda s: s.case.update(choices=["a"]),
        lambda s: setattr(s, "target", "other"),
        lambda s: setattr(s, "id", "other"),
        lambda s: setattr(s, "extract", Extract(regex="cat")),
    ],
)
def test_each_part_of_what_a_hook_sees_makes_another_score_key(
    edit: Callable[[Scores], object], scored: Scores
) -> None:
    before = scored.keys(scored.hook)
    edit(scored)
    assert not before & scored.keys(scored.hook)


SPEC = (
    SUMS.replace('["exact_match"]', '["listed_hook:judge", "code_pass@1"]')
    + """code = { program = "print(1) # {{ completion | length }}", timeout = 30 }
extract = { regex = "(?s).*" }
[tasks.sums.fewshot]
dataset  = "shots"
k        = 1
template = "{{ question }}\\n"
[datasets.shots]
path = "shots.jsonl"
"""
)


class Everything:
    """A workspace that was asked and scored."""

    def __init__(self, workspace: Workspace) -> None:
        copy = workspace.root / "own"
        shutil.copytree(workspace.model, copy)
        self.workspace = replace(workspace, model=copy)
        self.specs = workspace.specs
        self.text = SPEC
        self.extra = ""
        self.specs.mkdir()
        self.rows = sum_rows(3)
        self.shots = [{"question": "1 + 1", "answer": "2", "note": "a"}]
        (self.specs / "listed_hook.py").write_text("def judge(case):\n    return 1\n")
        self.write()

    def write(self) -> None:
        self.workspace.write(self.text, self.extra)
        self.workspace.rows("sums.jsonl", self.rows)
        self.workspace.rows("shots.jsonl", self.shots)

    def spec(self, old: str, new: str) -> None:
        assert old in self.text
        self.text = self.text.replace(old, new)

    def keys(self, *options: str) -> tuple[str, str, set[bytes], set[bytes]]:
        """Model, engine, what is asked, and every score after a report."""
        planned = self.workspace.planned()
        flat = planned.keys
        asked = {flat[at : at + 32] for at in range(0, len(flat), 32)}
        found = planned.models[0].identity
        done = self.workspace.call("exec", "specs", "--allow-code-execution", *options)
        assert done.code == 0, done.text
        with self.workspace.store() as store:
            scores = {key for batch in store.scan(SCORES) for key, _ in batch}
        return found.model_id, found.engine_id, asked, scores


def _moved(e: Everything) -> None:
    there = e.workspace.root / "moved"
    e.workspace.model.rename(there)
    e.workspace = replace(e.workspace, model=there)


def _renamed_model(e: Everything) -> None:
    e.workspace = _Named(e.workspace.root, e.workspace.model)


class _Named(Workspace):
    """A workspace whose model has another name."""

    def header(self) -> str:
        return super().header().replace("[models.m]", "[models.other]")


def _moved_data(e: Everything) -> None:
    e.spec('path = "sums.jsonl"', 'path = "more/sums2.jsonl"')
    (e.specs / "more").mkdir()
    e.workspace.rows("more/sums2.jsonl", e.rows)


def _tokenizer(e: Everything) -> None:
    path = e.workspace.model / "tokenizer.json"
    path.write_text(json.dumps(json.loads(path.read_text()), indent=1))
    bundle(e.workspace.model, e.workspace.cache, False, None)


def _dates(e: Everything) -> None:
    for path in [*e.workspace.model.iterdir(), *e.specs.iterdir()]:
        path.touch()


NOTHING: dict[str, Callable[[Everything], object]] = {
    "the path of a model": _moved,
    "the name of a model": _renamed_model,
    "the name of a task": lambda e: e.spec("tasks.sums", "tasks.other"),
    "the name of a dataset": lambda e: (
        e.spec("datasets.sums", "datasets.other"),
        e.spec('dataset  = "sums"', 'dataset  = "other"'),
    ),
    "the path of a data file": _moved_data,
    "the dates of files": _dates,
    "the order of rows": lambda e: e.rows.reverse(),
    "a comment in a spec": lambda e: e.spec("[tasks.sums]", "# said\n[tasks.sums]"),
    "a tag": lambda e: e.spec("[tasks.sums]", '[tasks.sums]\ntags = ["new"]'),
    "a tier": lambda e: setattr(e, "extra", "[tiers.all]\ncases = 99\n"),
    "the template, where it writes the same text": lambda e: e.spec(
        "{{ question }} =", "{{ question ~ '' }} ="
    ),
    "the tokenizer's files, where they give the same ids": _tokenizer,
    "the few-shot set, where no prompt shows the difference": lambda e: e.shots[0].update(note="b"),
    "the seed of a greedy generation": lambda e: e.spec(
        "max_new_tokens = 4", "max_new_tokens = 4, seed = 9"
    ),
    "the metrics beside a metric": lambda e: e.spec('"code_pass@1"', '"code_pass@1", "f1"'),
    "the name of an extraction": lambda e: e.spec("extract = {", "extract.whole = {"),
    "the pattern of an extraction, where it finds the same answer": lambda e: e.spec(
        "(?s).*", "(?s)^.*$"
    ),
    "the template of a program, where it writes the same text": lambda e: e.spec(
        "completion | length", "completion | trim('') | length"
    ),
    "a file of the spec's folder that no hook imports": lambda e: (
        e.specs / "unrelated.py"
    ).write_text("A = 1\n"),
}
OPTIONS = {"a tier": ("--tier", "all")}


@pytest.mark.parametrize("line", NOTHING)
def test_what_is_in_no_key_changes_none(line: str, workspace: Workspace) -> None:
    everything = Everything(workspace)
    before = everything.keys()
    assert len(before[2]) == 3
    assert len(before[3]) >= 4
    NOTHING[line](everything)
    everything.write()
    assert everything.keys(*OPTIONS.get(line, ())) == before


def test_every_line_of_the_list_has_its_edit_and_no_edit_is_without_a_line() -> None:
    table, nothing = listed()
    groups = {"model_id": MODEL, "engine_id": ENGINE, "request": REQUEST, "score": SCORE}
    assert table == {(key, line) for key, lines in groups.items() for line in lines}
    assert nothing == set(NOTHING)
