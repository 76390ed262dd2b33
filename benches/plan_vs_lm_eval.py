"""Requests planned per second: evalc against lm-evaluation-harness 0.4.13.

    python benches/plan_vs_lm_eval.py --model models/smollm2-135m [--cases 100000] [--sample 2000]

Both sides turn the same rows of five-shot multiple choice into the same tokenised requests, one
after the other on this machine. evalc is timed as a user meets it: one `evalc plan` process with an
empty cache, from the start of Python to the printed plan, including the digest of the weights, the
one-time extraction of the tokenizer, keys, deduplication and order. The harness is timed on a
sample, without its imports, its loading of data and its loading of the model: building the
requests of its task, then encoding every request with its own code and the same tokenizer.
On the sample both sides must make the same number of requests with the same number of tokens.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import synthetic


@dataclass(frozen=True)
class Timing:
    """What one side did: requests, tokens (context and continuation of each request), seconds."""

    requests: int
    tokens: int
    seconds: float

    @property
    def rate(self) -> float:
        return self.requests / self.seconds


def lm_eval_side(model: Path, test: Path, dev: Path, sample: int) -> Timing:
    """Build and encode the requests of the first `sample` rows with the harness's own code."""
    os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", TOKENIZERS_PARALLELISM="false")
    from lm_eval.api.task import ConfigurableTask  # noqa: PLC0415
    from lm_eval.models.huggingface import HFLM  # noqa: PLC0415

    class Encoder(HFLM):  # type: ignore[misc]
        """The harness's model up to the point where the first tensor would be made."""

        def _loglikelihood_tokens(self, requests: list[Any], **_: object) -> list[Any]:
            self.encoded = requests
            return [(0.0, False)] * len(requests)

    task = ConfigurableTask(
        config={
            "task": "synthetic",
            "dataset_path": "json",
            "dataset_kwargs": {"data_files": {"test": str(test), "dev": str(dev)}},
            "test_split": "test",
            "fewshot_split": "dev",
            "fewshot_config": {"sampler": "first_n"},
            "num_fewshot": synthetic.SHOTS,
            "output_type": "multiple_choice",
            "description": synthetic.DESCRIPTION,
            "doc_to_text": synthetic.PROMPT,
            "doc_to_choice": synthetic.LETTERS,
            "doc_to_target": "answer",
            "metric_list": [{"metric": "acc"}],
        }
    )
    encoder = Encoder(pretrained=str(model), device="cpu", dtype="float32")
    started = time.perf_counter()
    task.build_all_requests(limit=sample)
    encoder.loglikelihood(task.instances, disable_tqdm=True)
    seconds = time.perf_counter() - started
    tokens = sum(len(context) + len(choice) for _, context, choice in encoder.encoded)
    return Timing(len(encoder.encoded), tokens, seconds)


SPEC = """\
evalc = 1
[models.base]
path = {model}
[datasets.test]
path = {test}
[datasets.dev]
path = {dev}
[tasks.synthetic]
dataset     = "test"
type        = "multiple_choice"
description = {description}
prompt      = {prompt}
choices     = ["A", "B", "C", "D"]
target      = "{{{{ answer }}}}"
fewshot     = {{ dataset = "dev", k = {shots}, select = "first", template = {shot} }}
metrics     = ["acc"]
[suites.bench]
models = ["base"]
tasks  = ["synthetic"]
"""


def write_spec(folder: Path, model: Path, test: Path, dev: Path) -> Path:
    """A folder with the spec of the same task; a JSON text is a TOML basic string."""
    spec = folder / "spec"
    spec.mkdir()
    (spec / "bench.toml").write_text(
        SPEC.format(
            model=json.dumps(str(model.resolve())),
            test=json.dumps(str(test)),
            dev=json.dumps(str(dev)),
            description=json.dumps(synthetic.DESCRIPTION),
            prompt=json.dumps(synthetic.PROMPT),
            shot=json.dumps(synthetic.PROMPT + " {{ ['A', 'B', 'C', 'D'][answer] }}\n\n"),
            shots=synthetic.SHOTS,
        ),
        encoding="utf-8",
    )
    return spec


def evalc_side(spec: Path, cache: Path, *overrides: str) -> Timing:
    """One `evalc plan` process, from its start to the end of its output."""
    command = [sys.executable, "-m", "evalc", "plan", str(spec), "--cache", str(cache), "--json"]
    command += [argument for text in overrides for argument in ("--set", text)]
    started = time.perf_counter()
    process = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    seconds = time.perf_counter() - started
    total = json.loads(process.stdout)["total"]
    # The last token of a request is scored but never read.
    tokens = total["prefill_tokens_unshared"] + total["requests"]
    return Timing(total["requests"], tokens, seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description="Requests planned per second, two harnesses.")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--sample", type=int, default=2_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        test, dev = synthetic.write(folder, arguments.cases)
        spec = write_spec(folder, arguments.model, test, dev)
        cold = evalc_side(spec, folder / "cache")
        again = evalc_side(spec, folder / "cache")
        sample = f'datasets.test.rows="0:{arguments.sample}"'
        same = evalc_side(spec, folder / "other_cache", sample)
        theirs = lm_eval_side(arguments.model, test, dev, arguments.sample)
    if (same.requests, same.tokens) != (theirs.requests, theirs.tokens):
        sys.exit(f"the two sides made different requests of the sample: {same} and {theirs}")
    for side, timing in (("evalc, cold", cold), ("evalc, again", again), ("lm-eval", theirs)):
        print(
            f"{side:13} {timing.requests:>8,} requests  {timing.seconds:7.2f} s  "
            f"{timing.rate:>9,.0f} requests/s  {timing.tokens / timing.requests:6.1f} tokens each"
        )
    print(f"ratio: {cold.rate / theirs.rate:.1f}x requests per second, planned cold")


if __name__ == "__main__":
    main()
