"""A model is what it computes: not its name, its path, or its dates."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evalc import _core
from evalc.diagnostics import Faults
from evalc.plan import digests
from evalc.plan.checkpoint import read_checkpoint
from evalc.plan.digests import Digests
from evalc.plan.identity import Identity, identify
from evalc.store import Store
from tiny_models import HIDDEN, INNER, LAYERS, write_adapter, write_model, write_shards


@dataclass
class Bench:
    """A model directory that may be changed, and a store that remembers its files."""

    folder: Path
    store: Store

    def identity(self, folder: Path | None = None, **changes: Any) -> Identity:
        plain: dict[str, Any] = {
            "adapter": None,
            "quantization": None,
            "trust_remote_code": False,
            "dtype": "float32",
            "device": "cpu",
            "numerics": "stable",
            "digests": Digests(self.store),
            "place": None,
        }
        checkpoint = read_checkpoint(folder or self.folder, None, "m")
        return identify(checkpoint, **{**plain, **changes})


@pytest.fixture
def bench(tmp_path: Path, tiny_model: Path) -> Any:
    shutil.copytree(tiny_model, tmp_path / "model")
    with Store.open(tmp_path / "store") as store:
        yield Bench(tmp_path / "model", store)


def edit_config(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    path = folder / "config.json"
    fields = json.loads(path.read_text())
    path.write_text(json.dumps(change(fields)))


def test_the_same_model_is_itself_with_and_without_memory(bench: Bench) -> None:
    first = bench.identity()
    assert bench.identity() == first == bench.identity(digests=Digests(None))
    assert {len(first.model_id), len(first.engine_id)} == {64}


def test_a_renamed_or_copied_directory_is_the_same_model(bench: Bench) -> None:
    first = bench.identity()
    copy = bench.folder.with_name("copy")
    shutil.copytree(bench.folder, copy)
    assert bench.identity(copy) == first
    copy.rename(copy.with_name("moved"))
    assert bench.identity(copy.with_name("moved")) == first


def test_a_link_to_a_model_is_that_model(bench: Bench) -> None:
    link = bench.folder.with_name("link")
    link.symlink_to(bench.folder)
    assert bench.identity(link) == bench.identity()


def test_weights_changed_in_place_are_noticed_with_size_and_date_as_before(bench: Bench) -> None:
    first = bench.identity()
    weights = bench.folder / "model.safetensors"
    state = weights.stat()
    with weights.open("r+b") as file:
        file.seek(-4, os.SEEK_END)
        file.write(np.float32(0.125).tobytes())
    os.utime(weights, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert (weights.stat().st_size, weights.stat().st_mtime_ns) == (
        state.st_size,
        state.st_mtime_ns,
    )
    changed = bench.identity()
    assert changed.model_id != first.model_id
    assert changed.engine_id == first.engine_id


@dataclass
class CountingCore:
    """The core, with the files that it was asked to hash."""

    hashed: list[str]

    def hash_files(self, paths: list[str]) -> list[str]:
        self.hashed.extend(Path(path).name for path in paths)
        return _core.hash_files(paths)

    def digest_fields(self, tag: str, fields: list[bytes]) -> str:
        return _core.digest_fields(tag, fields)


def test_a_file_that_did_not_change_is_not_read_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    core = CountingCore([])
    monkeypatch.setattr(digests, "_core", core)
    settled = 2 * digests.RACY_NS / 1e9
    time.sleep(settled)
    first = bench.identity()
    assert core.hashed == ["model.safetensors"]
    assert bench.identity() == first
    assert core.hashed == ["model.safetensors"]
    os.utime(bench.folder / "model.safetensors")
    assert bench.identity() == first
    assert core.hashed == ["model.safetensors"] * 2


def test_a_file_changed_a_moment_ago_is_not_yet_remembered(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    core = CountingCore([])
    monkeypatch.setattr(digests, "_core", core)
    monkeypatch.setattr(digests, "RACY_NS", 10**15)
    assert bench.identity() == bench.identity()
    assert core.hashed == ["model.safetensors"] * 2


def test_rehashing_reads_what_is_remembered_and_corrects_it(bench: Bench) -> None:
    time.sleep(2 * digests.RACY_NS / 1e9)
    first = bench.identity()
    weights = bench.folder / "model.safetensors"
    bench.store.remember(digests._stamp(weights), b"0" * 64)
    assert bench.identity() != first
    assert bench.identity(digests=Digests(bench.store, rehash=True)) == first
    assert bench.identity() == first


def test_the_order_of_configuration_keys_does_not_matter(bench: Bench) -> None:
    first = bench.identity()
    edit_config(bench.folder, lambda fields: dict(reversed(fields.items())))
    assert bench.identity() == first


@pytest.mark.parametrize(
    "change",
    [{"_name_or_path": "x"}, {"transformers_version": "9"}, {"eos_token_id": 2}, {"dtype": "x"}],
    ids=str,
)
def test_configuration_that_does_not_act_on_logits_is_left_out(
    bench: Bench, change: dict[str, Any]
) -> None:
    first = bench.identity()
    edit_config(bench.folder, lambda fields: {**fields, **change})
    assert bench.identity() == first


@pytest.mark.parametrize(
    "change", [{"rope_theta": 500.0}, {"rms_norm_eps": 1e-6}, {"sliding_window": 8}], ids=str
)
def test_configuration_that_acts_on_logits_makes_another_model(
    bench: Bench, change: dict[str, Any]
) -> None:
    first = bench.identity()
    edit_config(bench.folder, lambda fields: {**fields, **change})
    assert bench.identity().model_id != first.model_id


LONGROPE = {"rope_scaling": {"type": "longrope", "short_factor": [1.0], "long_factor": [2.0]}}
DYNAMIC = {"rope_parameters": {"full_attention": {"rope_type": "dynamic", "factor": 2.0}}}
SINKS = {"model_type": "gpt_oss", "layer_types": ["full_attention"] * 2}
MIXED = {"model_type": "gpt_oss", "layer_types": ["sliding_attention", "full_attention"]}


@pytest.mark.parametrize("change", [LONGROPE, DYNAMIC, SINKS], ids=str)
def test_a_correction_is_in_the_key_where_the_faulty_condition_holds(
    bench: Bench, change: dict[str, Any]
) -> None:
    """I29, I30: answers that were wrong are not served."""
    first = bench.identity()
    edit_config(bench.folder, lambda fields: {**fields, **change})
    assert bench.identity().engine_id != first.engine_id


@pytest.mark.parametrize(
    "change", [{}, MIXED, {"rope_scaling": {"rope_type": "llama3", "factor": 8.0}}], ids=str
)
def test_a_correction_is_in_nobody_else_s_key(bench: Bench, change: dict[str, Any]) -> None:
    first = bench.identity()
    edit_config(bench.folder, lambda fields: {**fields, **change})
    found = bench.identity()
    assert found.engine_id == first.engine_id
    assert "corrections" not in found.components


def test_the_tokenizer_is_no_part_of_the_model(bench: Bench) -> None:
    first = bench.identity()
    (bench.folder / "tokenizer.json").unlink()
    (bench.folder / "chat_template.jinja").write_text("{{ messages }}")
    assert bench.identity() == first


@pytest.mark.parametrize(
    "change", [{"dtype": "bfloat16"}, {"device": "cuda"}, {"numerics": "fast"}]
)
def test_what_changes_the_numbers_makes_another_engine(
    bench: Bench, change: dict[str, str]
) -> None:
    first, other = bench.identity(), bench.identity(**change)
    assert other.engine_id != first.engine_id
    assert other.model_id == first.model_id


def test_a_quantisation_or_an_adapter_makes_another_model(bench: Bench, tmp_path: Path) -> None:
    one, two = write_adapter(tmp_path / "one"), write_adapter(tmp_path / "two", seed=9)
    found = [
        bench.identity(),
        bench.identity(quantization="8bit"),
        bench.identity(adapter=one),
        bench.identity(adapter=two),
    ]
    assert len({identity.model_id for identity in found}) == 4
    shutil.copytree(one, tmp_path / "copy")
    assert bench.identity(adapter=tmp_path / "copy") == found[2]


def test_adapters_have_the_base_that_their_model_is_alone(bench: Bench, tmp_path: Path) -> None:
    base = bench.identity().base
    one, two = write_adapter(tmp_path / "one"), write_adapter(tmp_path / "two", seed=9)
    copy = shutil.copytree(bench.folder, tmp_path / "copy")
    assert {bench.identity(adapter=path).base for path in (one, two)} == {base}
    assert bench.identity(copy, numerics="fast").base == base
    assert bench.identity(quantization="8bit").base != base
    assert bench.identity(write_model(tmp_path / "other", seed=8)).base != base


def test_an_adapters_settings_are_part_of_it(bench: Bench, tmp_path: Path) -> None:
    adapter = write_adapter(tmp_path / "adapter")
    first = bench.identity(adapter=adapter)
    config = adapter / "adapter_config.json"
    config.write_text(config.read_text().replace('"lora_alpha": 4', '"lora_alpha": 8'))
    assert bench.identity(adapter=adapter).model_id != first.model_id


def test_remote_code_counts_where_it_is_run(bench: Bench) -> None:
    code = bench.folder / "modeling_own.py"
    code.write_text("A = 1\n")
    silent, run = bench.identity(), bench.identity(trust_remote_code=True)
    code.write_text("A = 2\n")
    assert bench.identity() == silent
    assert bench.identity(trust_remote_code=True).model_id != run.model_id


def test_shards_are_told_apart_by_name_and_content(bench: Bench) -> None:
    one, two = write_shards(bench.folder, ["model.norm.weight"])
    before = bench.identity()
    one.rename(bench.folder / "swap")
    two.rename(one)
    (bench.folder / "swap").rename(two)
    assert bench.identity().model_id != before.model_id


def test_the_cost_model_counts_weights_without_embeddings(tiny_model: Path) -> None:
    shape = read_checkpoint(tiny_model, None, "m").shape()
    layer = 2 * HIDDEN * HIDDEN + 2 * HIDDEN * HIDDEN // 2 + 3 * HIDDEN * INNER + 2 * HIDDEN
    assert shape.parameters == LAYERS * layer + HIDDEN
    assert (shape.layers, shape.width) == (LAYERS, HIDDEN)
    assert shape.flops(3, 5, 2) == (
        2 * shape.parameters * 3 + 4 * LAYERS * HIDDEN * 5 + 2 * HIDDEN * shape.vocabulary * 2
    )


@pytest.mark.parametrize("missing", ["adapter_config.json", "adapter_model.safetensors"])
def test_half_an_adapter_is_refused(bench: Bench, tmp_path: Path, missing: str) -> None:
    adapter = write_adapter(tmp_path / "adapter")
    (adapter / missing).unlink()
    with pytest.raises(Faults) as caught:
        bench.identity(adapter=adapter)
    assert caught.value.diagnostics[0].code == "bad-adapter"


def test_the_longest_input_is_what_the_configuration_says(tmp_path: Path) -> None:
    plain = write_model(tmp_path / "plain", positions=77)
    assert read_checkpoint(plain, None, "m").max_length == 77
    edit_config(plain, lambda fields: {"text_config": fields})
    assert read_checkpoint(plain, None, "m").max_length == 77
    edit_config(plain, lambda _: {"n_positions": 55})
    assert read_checkpoint(plain, None, "m").max_length == 55
    edit_config(plain, lambda _: {})
    assert read_checkpoint(plain, None, "m").max_length is None


ODD: tuple[Any, ...] = (
    None,
    True,
    -1,
    1.5,
    float("inf"),
    10**30,
    "x",
    [],
    [[]],
    [{}],
    {},
    {"a": {}},
)
READ = (
    *(
        "text_config",
        "model_type",
        "layer_types",
        "rope_scaling",
        "rope_parameters",
        "architectures",
    ),
    *("quantization_config", "auto_map", "transformers_weights", "num_labels", "sliding_window"),
    *("is_encoder_decoder", "configuration_files", "attn_logit_softcapping", "output_attentions"),
    *("num_hidden_layers", "hidden_size", "vocab_size", "max_position_embeddings", "pad_token_id"),
)


@pytest.mark.parametrize("inner", [False, True], ids=["whole", "text_config"])
@pytest.mark.parametrize("field", READ)
def test_a_field_of_another_kind_is_read_or_refused(field: str, inner: bool, bench: Bench) -> None:
    """Whatever stands in it: transformers may take what evalc cannot read, never the other way."""
    path = bench.folder / "config.json"
    before = json.loads(path.read_text())
    for value in ODD:
        part = {
            "model_type": "llama",
            **({} if inner and field == "text_config" else {field: value}),
        }
        changed = {**before, "text_config": part} if inner else {**before, field: value}
        path.write_text(json.dumps(changed))
        try:
            bench.identity()
            checkpoint = read_checkpoint(bench.folder, None, "m")
            assert isinstance(checkpoint.max_length, int | None)
            assert checkpoint.attention in ("eager", "sdpa")
            assert checkpoint.shape().layers >= 0
        except Faults as faults:
            assert faults.diagnostics[0].code == "bad-model"
