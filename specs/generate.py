"""Write mmlu.toml and bbh.toml from the benchmark files that they name.

    python specs/generate.py [--check] [DATA]

DATA is the folder that `[paths] data` in paths.toml names; it defaults to `shared/data` beside the
repository. `--check` writes nothing and exits with 1 when a file on disk differs.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

SPECS = Path(__file__).resolve().parent
HEADER = """\
#:schema ./evalc.schema.json
evalc = 1

# Written by specs/generate.py; `make specs` writes it again.
"""

MMLU_AREAS = {
    "humanities": (
        "formal_logic high_school_european_history high_school_us_history "
        "high_school_world_history international_law jurisprudence logical_fallacies "
        "moral_disputes moral_scenarios philosophy prehistory professional_law world_religions"
    ),
    "social_sciences": (
        "econometrics high_school_geography high_school_government_and_politics "
        "high_school_macroeconomics high_school_microeconomics high_school_psychology "
        "human_sexuality professional_psychology public_relations security_studies sociology "
        "us_foreign_policy"
    ),
    "stem": (
        "abstract_algebra anatomy astronomy college_biology college_chemistry "
        "college_computer_science college_mathematics college_physics computer_security "
        "conceptual_physics electrical_engineering elementary_mathematics high_school_biology "
        "high_school_chemistry high_school_computer_science high_school_mathematics "
        "high_school_physics high_school_statistics machine_learning"
    ),
    "other": (
        "business_ethics clinical_knowledge college_medicine global_facts human_aging management "
        "marketing medical_genetics miscellaneous nutrition professional_accounting "
        "professional_medicine virology"
    ),
}

MMLU_INTRO = r"""
# MMLU (Hendrycks et al. 2021): every subject whose test and dev files are there, with its dev cases
# as shots (five where the file has five). Prompts as in lm-evaluation-harness 0.4.13's `mmlu`.
"""

MMLU_TASK = r"""
[datasets.mmlu_{subject}]
path = "${{data}}/mmlu/{subject}_test.jsonl"

[datasets.mmlu_{subject}_dev]
path = "${{data}}/mmlu/{subject}_dev.jsonl"

[tasks.mmlu_{subject}]
dataset     = "mmlu_{subject}"
type        = "multiple_choice"
description = "The following are multiple choice questions (with answers) about {words}.\n\n"
prompt      = "{prompt}"
choices     = ["A", "B", "C", "D"]
target      = "{{{{ answer }}}}"
fewshot     = {{ dataset = "mmlu_{subject}_dev", k = {k}, select = "first", template = "{shot}" }}
metrics     = ["acc"]
slices      = ["{{{{ subject }}}}"]
tags        = ["mmlu", "mmlu_{area}", "en"]
"""

MMLU_PROMPT = (
    r"{{ question.strip() }}\nA. {{ choices[0] }}\nB. {{ choices[1] }}"
    r"\nC. {{ choices[2] }}\nD. {{ choices[3] }}\nAnswer:"
)
MMLU_SHOT = MMLU_PROMPT + r" {{ ['A', 'B', 'C', 'D'][answer] }}\n\n"

BBH_INTRO = """
# BIG-Bench Hard (Suzgun et al. 2022), three worked examples before every question. Prompts, stops
# and the extraction as in lm-evaluation-harness 0.4.13's `bbh_cot_fewshot`. The examples are those
# of the benchmark's own chain-of-thought files (LICENSE.bbh), which carry this line:
# {canary}
"""

BBH_TASK = r"""
[datasets.bbh_{name}]
path = "${{data}}/bbh/{name}.jsonl"

[tasks.bbh_{name}]
dataset  = "bbh_{name}"
type     = "generate"
prompt   = "Q: {{{{ input }}}}\nA: Let's think step by step.\n"
target   = "{{{{ target }}}}"
generate = {{ max_new_tokens = 1024, stop = ["</s>", "Q", "\n\n"], temperature = 0.0 }}
extract  = {{ regex = 'the answer is (.*).', take = "first" }}
metrics  = ["exact_match"]
tags     = ["bbh", "reasoning", "en"]
description = '''
{description}'''
"""


def mmlu(data: Path) -> str:
    """The text of mmlu.toml for the subjects of `data`/mmlu."""
    tasks = []
    areas = {subject: area for area, names in MMLU_AREAS.items() for subject in names.split()}
    for subject in sorted(areas):
        dev = data / "mmlu" / f"{subject}_dev.jsonl"
        if not (dev.is_file() and (data / "mmlu" / f"{subject}_test.jsonl").is_file()):
            continue
        shots = dev.read_bytes().count(b"\n")
        tasks.append(
            MMLU_TASK.format(
                subject=subject,
                words=subject.replace("_", " "),
                area=areas[subject],
                k=min(5, shots),
                prompt=MMLU_PROMPT,
                shot=MMLU_SHOT,
            )
        )
    return HEADER + MMLU_INTRO + "".join(tasks)


def bbh(data: Path) -> str:
    """The text of bbh.toml. The line above a file's rule never reaches a prompt."""
    tasks, canary = [], ""
    for path in sorted((data / "bbh" / "cot").glob("*.txt")):
        canary, _, prompt = path.read_text(encoding="utf-8").partition("\n-----\n")
        # One file puts the first thought on the question's line; the harness breaks it.
        prompt = re.sub(r"(?m)^(A: Let's think step by step\.) (?=\S)", r"\1\n", prompt)
        if "'''" in prompt:
            raise ValueError(f"{path.name} cannot stand in a literal string")
        tasks.append(BBH_TASK.format(name=path.stem, description=prompt.rstrip("\n") + "\n\n"))
    return HEADER + BBH_INTRO.format(canary=canary) + "".join(tasks)


def main(arguments: list[str]) -> int:
    check = "--check" in arguments
    folders = [a for a in arguments if a != "--check"]
    data = Path(folders[0]) if folders else SPECS.parent.parent / "shared" / "data"
    stale = 0
    for name, text in (("mmlu.toml", mmlu(data)), ("bbh.toml", bbh(data))):
        path = SPECS / name
        if check and path.read_text(encoding="utf-8") != text:
            print(f"{path} is stale: run `make specs`", file=sys.stderr)
            stale = 1
        elif not check:
            path.write_text(text, encoding="utf-8", newline="\n")
    return stale


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
