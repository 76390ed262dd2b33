"""Synthetic multiple-choice data of the shape of MMLU: 5 shots, four choices, long contexts."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

DEMO = Path(__file__).resolve().parent.parent / "specs" / "demo" / "data"
QUESTION_WORDS = (12, 90)
CHOICE_WORDS = (1, 14)
SHOTS = 5

PROMPT = (
    "{{ question.strip() }}\nA. {{ choices[0] }}\nB. {{ choices[1] }}"
    "\nC. {{ choices[2] }}\nD. {{ choices[3] }}\nAnswer:"
)
LETTERS = ["A", "B", "C", "D"]
DESCRIPTION = "The following are multiple choice questions (with answers).\n\n"


def vocabulary() -> list[str]:
    """The words of the demo's texts, in order and with their frequencies."""
    words: list[str] = []
    for name in ("hellaswag.jsonl", "gsm8k.jsonl"):
        for line in (DEMO / name).read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            words += (row.get("query") or row["question"]).split()
    return words


def rows(count: int, seed: int) -> Iterator[dict[str, object]]:
    """`count` rows with the columns question, choices (4 texts) and answer (0..3)."""
    draw = random.Random(seed)
    words = vocabulary()

    def text(bounds: tuple[int, int]) -> str:
        return " ".join(draw.choices(words, k=draw.randint(*bounds)))

    for _ in range(count):
        yield {
            "question": text(QUESTION_WORDS) + "?",
            "choices": [text(CHOICE_WORDS) for _ in LETTERS],
            "answer": draw.randrange(4),
        }


def write(folder: Path, cases: int) -> tuple[Path, Path]:
    """Write test.jsonl (`cases` rows) and dev.jsonl (the shots) into `folder`; their paths."""
    test, dev = folder / "test.jsonl", folder / "dev.jsonl"
    for path, count, seed in ((test, cases, 1), (dev, SHOTS, 2)):
        with path.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows(count, seed))
    return test, dev
