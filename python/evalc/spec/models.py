"""The spec as written: pydantic models that mirror the TOML tables key by key.

Optional keys stay optional; `evalc.plan.ir` resolves them. Values are strict (no text for a
number), unknown keys are errors, and every text is checked by its kind (`evalc.spec.fields`).
What one table says about another is checked in `evalc.spec.references`.
"""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, Tag

from evalc.spec.fields import (
    Choices,
    Date,
    Hook,
    Location,
    Memory,
    Quote,
    Regex,
    Rows,
    Stop,
    Target,
    Template,
    Text,
    one_or_named,
    row_range,
    shape,
)

Positive = Annotated[int, Field(gt=0, le=2**31 - 1)]
Share = Annotated[float, Field(gt=0, le=1)]
Amount = Annotated[float, Field(gt=0, le=1e9)]
Seed = Annotated[int, Field(ge=0, le=2**63 - 1)]
Value = Annotated[float, Field(ge=-1e12, le=1e12)]


class Table(BaseModel):
    """A TOML table: closed, strict, immutable."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        allow_inf_nan=False,
        protected_namespaces=(),
        use_attribute_docstrings=True,
    )


class ModelSpec(Table):
    """A model to ask: `[models.<name>]`."""

    path: Location
    """Directory of the model, or `hf:org/name@revision`. May hold `${variables}` of `[paths]`."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Precision of weights and arithmetic."""
    adapter: Location | None = None
    """Directory of a LoRA adapter, applied on top of `path`."""
    quantization: Text | None = None
    """Name of a quantisation that the loader applies."""
    chat: bool = False
    """Put prompts into the model's chat template."""
    system: str | None = None
    """System message; needs `chat = true`."""
    trust_remote_code: bool = False
    """Run Python code that the model's directory brings along."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to run; `auto` takes a GPU when there is one."""
    max_length: Positive | None = None
    """Longest input in tokens; else what the model's configuration says."""
    date: Date | None = None
    """The date that a chat template sees as today, `YYYY-MM-DD`."""
    numerics: Literal["stable", "fast"] = "stable"
    """`stable`: results do not depend on batching. `fast`: they may, in the last bits."""


class DatasetSpec(Table):
    """Rows to ask about: `[datasets.<name>]`."""

    path: Location
    """A jsonl, csv, tsv or parquet file (also .gz, .zst), or `hf:org/name/config/split@revision`.
    May hold `${variables}` of `[paths]`."""
    quote: Quote | None = None
    """What encloses the fields of a csv or tsv file; nothing where it is empty. A csv file has `"`,
    and so has a tsv file that only a program which quotes can have written."""
    rows: Rows | None = None
    """A range of rows, `start:stop`; the stop is not included."""
    where: Template | None = None
    """Keep the rows for which this template is true."""
    id: Template | None = None
    """A stable id of a row; else the hash of its content."""
    control_tokens: list[Text] = []
    """Columns that hold rendered chat, whose texts may write control tokens such as
    `<|im_start|>`; in all other columns these are ordinary text."""
    prepare: Hook | None = None
    """A Python function, rows in and rows out, as `package.module:function`."""

    @property
    def row_range(self) -> tuple[int, int | None] | None:
        """`rows` as (start, stop or None for the end); None for all rows."""
        return None if self.rows is None else row_range(self.rows)


class FewshotSpec(Table):
    """Worked examples in front of the prompt: `fewshot = { ... }` of a task."""

    dataset: Text
    """Name of the dataset that the examples come from."""
    k: Annotated[int, Field(ge=0, le=10_000)]
    """How many examples."""
    template: Template
    """How one example is written, with the columns of its row."""
    select: Literal["first", "random", "per_case"] = "first"
    """`first`: the first k rows; `random`: the same k drawn once; `per_case`: k drawn per case."""
    seed: Seed = 0
    """Seed of the drawing."""
    separator: str = ""
    """Text between two examples; what follows the last belongs into the template."""


class GenerateSpec(Table):
    """How text is generated: `generate = { ... }` of a task."""

    max_new_tokens: Annotated[int, Field(gt=0, le=1_000_000)] = 256
    """Longest answer in tokens."""
    stop: Annotated[list[Stop], Field(max_length=64)] = []
    """Texts that end an answer, at most 64 of 256 characters; they are not part of it."""
    temperature: Annotated[float, Field(ge=0, le=100)] = 0.0
    """0 always takes the likeliest token."""
    top_p: Share = 1.0
    """Sample from the likeliest tokens of this total probability."""
    top_k: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    """Sample from this many of the likeliest tokens; 0 is no limit."""
    repeats: Annotated[int, Field(gt=0, le=10_000)] = 1
    """Answers per case."""
    seed: Seed = 0
    """Seed of the sampling."""


class ExtractSpec(Table):
    """How an answer is read out of a generated text: `extract = { ... }` of a task."""

    regex: Regex | None = None
    """Python regular expression to look for."""
    take: Annotated[
        Annotated[Literal["first", "last"], Tag("<text>")]
        | Annotated[int, Field(ge=-1_000_000, le=1_000_000), Tag("<number>")],
        shape("`first`, `last` or a whole number", text=str, number=int),
    ] = "first"
    """Which match counts; a number counts from 0, a negative one from the end."""
    group: Annotated[int, Field(ge=0, le=10_000)] | None = None
    """Which group of the match is the answer; else the first group that matched, or all of it."""
    otherwise: Regex | None = None
    """Second regular expression, tried when the first does not match."""
    strip: bool = True
    """Remove white space around the answer and the reference before they are compared."""
    lower: bool = False
    """Compare without regard to case."""
    ignore: list[Regex] = []
    """What these regular expressions match is removed from the answer and the reference."""
    python: Hook | None = None
    """A Python function, text in and answer out, as `package.module:function`."""


class CodeSpec(Table):
    """How a program is judged: `code = { ... }` of a task with `code_pass@k` or `code_pass^k`."""

    program: Template
    """The program to run; it passes when it reaches its last statement. Sees the columns of the row
    and `{{ completion }}`, the answer."""
    timeout: Annotated[float, Field(gt=0, le=86_400)] = 5.0
    """Seconds until the program counts as failed."""


class TaskSpec(Table):
    """A question asked of every row of a dataset: `[tasks.<name>]`."""

    dataset: Text
    """Name of the dataset."""
    type: Literal["multiple_choice", "generate", "perplexity"]
    """`multiple_choice`: which continuation is likelier; `generate`: the model writes an answer;
    `perplexity`: how likely the prompt itself is."""
    description: str = ""
    """Text in front of everything, before the few-shot examples."""
    prompt: Template
    """The question, with the columns of a row; the text itself for `perplexity`."""
    delimiter: str = " "
    """Text between the prompt and a choice."""
    choices: Choices | None = None
    """A template that yields a list, or a list of templates."""
    target: Target | None = None
    """The right choice (index, text, or a list of 0/1 labels) or the reference answer(s)."""
    fewshot: FewshotSpec | None = None
    """Worked examples in front of the prompt."""
    generate: GenerateSpec | None = None
    """How text is generated."""
    extract: (
        Annotated[
            Annotated[ExtractSpec, Tag("<single>")]
            | Annotated[dict[str, ExtractSpec], Field(min_length=1), Tag("<named>")],
            one_or_named("a table of extraction keys, or a table of such tables"),
        ]
        | None
    ) = None
    """How the answer is read out of the text; or a table of several named ways, and metrics are
    then reported per name, as `exact_match@strict`."""
    code: CodeSpec | None = None
    """How a generated program is judged."""
    metrics: Annotated[list[Text], Field(min_length=1)]
    """What is reported; see the table of metrics."""
    cluster: Template | None = None
    """Cases with the same value are not independent; standard errors take it into account."""
    slices: list[Template] = []
    """Scores are also reported for each value of these."""
    average: str = "micro"
    """`micro` weighs cases equally; `macro:<slice>` weighs the values of that slice equally."""
    tags: list[Text] = []
    """Words that suites select by, as `tag:<word>`."""
    overflow: Literal["error", "truncate"] = "error"
    """What to do with an input longer than the model takes; `truncate` cuts it at the left."""

    @property
    def extractions(self) -> dict[str, ExtractSpec]:
        """Every extraction by name; a single one, or none, stands under the empty name."""
        if self.extract is None:
            return {"": ExtractSpec()}
        return {"": self.extract} if isinstance(self.extract, ExtractSpec) else self.extract


class SuiteSpec(Table):
    """Models and tasks that are run together: `[suites.<name>]`."""

    models: Annotated[list[Text], Field(min_length=1)]
    """Names or globs of models."""
    tasks: Annotated[list[Text], Field(min_length=1)]
    """Names, globs (`mmlu_*`) or tags (`tag:en`) of tasks."""
    tier: Text | None = None
    """The tier that the suite runs at unless the command line says otherwise."""


class TierSpec(Table):
    """A budget on one fixed order of cases: `[tiers.<name>]`. The first limit reached ends it."""

    cases: Positive | None = None
    """At most this many cases per task and model."""
    fraction: Share | None = None
    """At most this share of the cases."""
    seconds: Amount | None = None
    """At most this much time."""
    dollars: Amount | None = None
    """At most this much money; needs `[cost]`."""
    half_width: Share | None = None
    """Until intervals are this narrow on each side."""
    stop: Literal["decided", "never"] = "never"
    """`decided`: end as soon as every gate is decided; `never`: use the whole budget."""


Change = Literal[
    "model.weights",
    "model.adapter",
    "model.tokenizer",
    "model.chat_template",
    "model.settings",
    "dataset",
    "task.prompt",
    "task.fewshot",
    "task.generate",
    "task.scorer",
    "engine",
]


CHANGES: tuple[Change, ...] = get_args(Change)
"""Every component that a trigger can name, in order."""


class TriggerSpec(Table):
    """Which tier `--since REVISION` chooses: `[[triggers]]`. The first that applies wins."""

    paths: Annotated[list[Text], Field(min_length=1)] | None = None
    """Globs as in `.gitignore`; applies when files changed and every one of them matches one."""
    changed: Annotated[list[Change], Field(min_length=1)] | None = None
    """Applies when one of these components changed, or nothing tells whether it did."""
    default: bool = False
    """Applies when no other does, wherever it stands."""
    tier: Text
    """A tier, `full`, or `none` to run nothing."""


class GateSpec(Table):
    """What a result must reach: `[gates.<name>]`."""

    metric: Text
    """`task.metric`, or `task.metric@extraction`."""
    models: list[Text] = []
    """Names or globs of the models that it judges; empty for all."""
    min: Value | None = None
    """The least value that passes."""
    max: Value | None = None
    """The largest value that passes."""
    baseline: Text | None = None
    """What to compare with: a recorded run, a model of the spec, or an exported result file."""
    max_drop: Annotated[float, Field(ge=0, le=1e12)] | None = None
    """How far below the baseline still passes."""
    half_width: Share | None = None
    """How narrow the interval must be on each side."""
    among: list[Text] | None = None
    """Names or globs of models: which of them is best."""
    alpha: Annotated[float, Field(ge=1e-9, lt=1)] = 0.05
    """The accepted probability of a wrong decision."""
    on_inconclusive: str = "fail"
    """What an undecided gate does: `fail`, `warn` or `escalate:<tier>`."""


class CostSpec(Table):
    """Prices for the preview: `[cost]`."""

    usd_per_hour: Annotated[float, Field(ge=0, le=1e9)] | None = None
    """Price of the machine."""


class HooksSpec(Table):
    """What Python functions of the repository may take: `[hooks]`. In no key."""

    seconds: Annotated[float, Field(gt=0, le=86400)] = 60.0
    """Longest time for one call, of `prepare` with all its rows, and for importing a module."""
    memory: Memory = "4G"
    """Most memory of one child process with what it starts, as `512M` or `4G`."""
    workers: Annotated[int, Field(gt=0, le=1024)] | None = None
    """Child processes at once; else one for each processor."""


class Spec(Table):
    """Everything that a folder of spec files says, merged."""

    evalc: Literal[1]
    """Version of the spec language."""
    paths: dict[str, str] = {}
    """Variables for paths: `[paths] data = "../data"` makes `${data}` usable in `path` keys."""
    models: dict[str, ModelSpec] = {}
    """The models to ask."""
    datasets: dict[str, DatasetSpec] = {}
    """The rows to ask about."""
    tasks: dict[str, TaskSpec] = {}
    """What is asked of each row."""
    suites: dict[str, SuiteSpec] = {}
    """What is run together."""
    tiers: dict[str, TierSpec] = {}
    """Budgets. `full`, everything, is always there."""
    triggers: list[TriggerSpec] = []
    """Which tier a change asks for."""
    gates: dict[str, GateSpec] = {}
    """What results must reach."""
    cost: CostSpec = CostSpec()
    """Prices for the preview."""
    hooks: HooksSpec = HooksSpec()
    """Limits of Python functions."""
