"""Which files of a model's folder loading reads, and what holds each of them.

A file that loading reads and that no key holds makes answers stale without a word. So this table is
what the digests are taken by, and `tests/immune/test_loading_is_keyed.py` watches what loading
opens and holds the table to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

CONFIG = "config.json"
SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
TEMPLATES = "additional_chat_templates"

MODEL: Mapping[str, tuple[str, ...]] = {
    "weights": ("*.safetensors",),
    "config": (CONFIG,),
}
"""Components of a model's identity, and the names of the files behind them."""
ADAPTER: Mapping[str, tuple[str, ...]] = {
    "adapter": (ADAPTER_CONFIG, "*.safetensors"),
}
"""The same of an adapter's folder, which may be the model's own."""
CODE: Mapping[str, tuple[str, ...]] = {"code": ("**/*.py",)}
"""The same of a model that runs its own code; in its folder or below."""
TOKENIZER = (
    *("tokenizer*", "special_tokens_map.json", "added_tokens.json", "vocab*", "merges.txt"),
    *("*.model", "*.tiktoken", "tekken.json", "chat_template*", TEMPLATES + "/*"),
    *("generation_config.json", CONFIG),
)
"""What the name of a tokenizer's bundle is made of; it acts through token ids, which keys hold."""
INERT: Mapping[str, str] = {
    INDEX: "it says which shards are read: their content is held, and their names where others lie "
    "beside them",
    "generation_config.json": "its defaults are not used, and the ids that end an output reach "
    "the key through the bundle",
    "custom_generate/requirements.txt": "it names packages, which are never installed",
}
"""Files that loading reads and that change no answer, and why."""
INERT_BESIDE_CODE: Mapping[str, str] = {
    "tokenizer_config.json": "code of another place that it names is refused; with the model, "
    "nothing else of it is read",
}
"""The same where a model runs its own code."""
DOUBLES = ("consolidated*.safetensors", "adapter_model*.safetensors")
"""Weights in another form than transformers', which no index of its own names."""


def holder(
    name: str,
    *,
    model: bool = True,
    adapter: bool = False,
    code: bool = False,
    tokenizer: bool = False,
) -> str | None:
    """What holds a file, by its path below a folder; None if nothing does.

    The folder may be a `model`'s, an `adapter`'s or both; `code` where the model runs its own;
    `tokenizer` where the tokenizer is read too, not only the model.
    """
    parts = {
        **(MODEL if model else {}),
        **(ADAPTER if adapter else {}),
        **(CODE if code else {}),
        **({"tokenizer": TOKENIZER} if tokenizer else {}),
    }
    for part, patterns in parts.items():
        if any(_fits(name, pattern) for pattern in patterns):
            return part
    inert = {**INERT, **(INERT_BESIDE_CODE if code else {})}
    return "inert" if model and name in inert else None


def files(folder: Path, patterns: Iterable[str]) -> list[Path]:
    """Files of a folder with such names, in order of their paths."""
    found = {path for pattern in patterns for path in folder.glob(pattern)}
    return sorted(path for path in found if path.is_file())


def folders(folder: Path, *, code: bool) -> list[Path]:
    """A model's folder and those below it that loading may read, in order.

    A file that comes or goes changes one of them.
    """
    below = folder.glob("**/" if code else TEMPLATES + "/")
    return sorted({folder, *(path for path in below if path.is_dir())})


def _fits(name: str, pattern: str) -> bool:
    """A pattern means what it does to `Path.glob`."""
    if pattern.startswith("**/"):
        return fnmatchcase(name, pattern[3:])
    return name.count("/") == pattern.count("/") and fnmatchcase(name, pattern)
