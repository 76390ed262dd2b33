"""Train a model for a few steps and evaluate it every so many, in the same process.

    python examples/training_loop.py models/smollm2-135m --steps 20 --every 10

Each checkpoint is a model of its own, known by its weights: run the script again, and those that
were asked before are not asked again. What evalc sets in torch for itself is put back after each
run, and what the loop has set (an autocast, another precision) changes no answer.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import evalc

TEXT = "Question: What is 2 + 2?\nAnswer: 2 + 2 is 4.\n#### 4\n\n"


def main() -> None:
    """Train, save, evaluate, compare with the checkpoint before."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--specs", type=Path, default=Path("specs/demo"))
    parser.add_argument("--name", default="smollm2", help="the model's name in the specs")
    parser.add_argument("--task", default="hellaswag")
    parser.add_argument("--metric", default="acc_norm")
    parser.add_argument("--out", type=Path, default=Path("runs"))
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--every", type=int, default=10)
    options = parser.parse_args()

    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    model = AutoModelForCausalLM.from_pretrained(options.model, dtype=torch.float32)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)
    batch = tokenizer(TEXT, return_tensors="pt")["input_ids"]

    before = None
    for step in range(1, options.steps + 1):
        model.train()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = model(input_ids=batch, labels=batch).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if step % options.every:
            continue
        folder = options.out / f"step-{step}"
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        path = {f"models.{options.name}.path": folder.absolute()}
        run = evalc.load(options.specs, tasks=[options.task], set=path).run()
        value = run.report.value(options.task, options.metric)
        print(
            f"step {step}: loss {loss.item():.3f}, {options.metric} {value:.4f}, {run.asked} asked"
        )
        if before is not None:
            for entry in evalc.diff(before, run.report)["comparisons"]:
                print(f"  {entry['metric']}: {entry['fixed']} fixed, {entry['broken']} broken")
        before = run.report


if __name__ == "__main__":
    main()
