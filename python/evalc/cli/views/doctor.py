"""What `evalc doctor` found, for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from evalc.cli.options.sizes import size_text
from evalc.diagnostics.amounts import many

WAYS = {
    "tree": "packed prefix tree",
    "padded": "padded rows",
    "uniform": "rows of one length",
}
GENERATIONS = {"slots": "slots, refilled as outputs end", "lockstep": "rows of one length in step"}


def told(document: Mapping[str, Any]) -> Iterator[str]:
    """The machine, then every model, line by line."""
    yield from _machine(document["machine"])
    for model in document["models"]:
        yield ""
        yield from _model(model)


def _machine(machine: Mapping[str, Any]) -> Iterator[str]:
    yield f"evalc {machine['evalc']}, Python {machine['python']}, {machine['system']}"
    versions = machine["packages"].items()
    yield "  " + ", ".join(f"{name} {version or 'missing'}" for name, version in versions)
    for device in machine["devices"]:
        yield f"  {device['device']}: {_device(device, machine)}"
    if machine["devices"] and len(machine["devices"]) == 1:
        yield "  no CUDA device"
    sandbox = machine["sandbox"]
    told = "bubblewrap" if sandbox["name"] else f"none, as {sandbox['fault']}"
    yield f"  sandbox of programs: {told}"
    cache = machine["cache"]
    kind = cache["filesystem"] or "an unknown file system"
    state = "usable" if cache["usable"] else "not usable"
    yield f"  cache: {cache['directory']} on {kind}, {state}"


def _device(device: Mapping[str, Any], machine: Mapping[str, Any]) -> str:
    parts = []
    if device["name"]:
        parts.append(device["name"])
    if device["threads"]:
        parts.append(f"{device['threads']} threads on {machine['cores']} cores")
    if device["free_bytes"] is not None:
        parts.append(f"{size_text(device['free_bytes'])} free ({device['said_by']})")
    if device["total_bytes"] is not None:
        parts.append(f"{size_text(device['total_bytes'])} in all")
    return "; ".join([*parts, " ".join(device["dtypes"])])


def _model(model: Mapping[str, Any]) -> Iterator[str]:
    if "directory" not in model:
        yield f"{model['name']}: cannot be run"
        return
    what = f"{model['dtype']} on {model['device']}, numerics {model['numerics']}"
    adapter = f" with {model['adapted']}" if model["adapter"] else ""
    yield f"{model['name']}: {what}, {model['directory']}{adapter}"
    if not model["sound"]:
        yield "  cannot be run"
        return
    yield f"  path: {WAYS[model['path']]}, as {model['reason']} ({model['architecture']})"
    yield f"  generation: {GENERATIONS[model['generation']]}"
    yield from _check(model["check"])
    yield from _bits(model)
    yield from _programs(model["programs"])
    yield from _budget(model)


def _check(check: Mapping[str, Any]) -> Iterator[str]:
    if not check["rows"]:
        yield "  self-check: nothing to compare with, as rows are too short or logits not finite"
        return
    for trial in check["trials"]:
        drafts = "" if trial["drafts"] is None else f", greedy tokens {trial['drafts']:.1e}"
        if trial["failure"] is not None:
            yield f"  self-check: {WAYS[trial['path']]} FAILED: {trial['failure']}"
            continue
        passed = trial["steady"] and (
            max(trial["scores"], trial["drafts"] or 0.0) <= check["allowed"]
        )
        unsteady = "" if trial["steady"] else "; a token's bits depend on its place or neighbours"
        yield (
            f"  self-check: {WAYS[trial['path']]} {'passed' if passed else 'FAILED'} on "
            f"{many(check['rows'], 'row')}; log-likelihoods differ by "
            f"{trial['scores']:.1e}{drafts}, allowed {check['allowed']:g}{unsteady}"
        )
    if not check["plain_head"]:
        yield "  output head: not a plain one, so whole logits are computed"


def _bits(model: Mapping[str, Any]) -> Iterator[str]:
    bits, shapes = model["bits"], model["shapes"]
    if bits is None:
        return
    names = {"alone": "alone as together", "held": "after what is held"}
    found = [f"{'equal' if bits[key] else 'NOT equal'} {text}" for key, text in names.items()]
    yield f"  bits: {', '.join(found)}"
    if model["path"] == "tree" and shapes["constant"]:
        smaller = ", ".join(map(str, bits["tiles"])) or "none"
        yield f"  tiles: {shapes['tile']} tokens; smaller ones with equal bits: {smaller}"


def _programs(programs: Mapping[str, Any] | None) -> Iterator[str]:
    """What runs by programs of our own on a GPU."""
    if programs is None:
        return
    if programs["fault"] is not None:
        yield f"  programs: torch's own, as Triton does not run: {programs['fault']}"
        return
    graphs = "replayed as CUDA graphs" if programs["graphs"] else "NOT replayed as CUDA graphs"
    yield (
        f"  programs: Triton; passes are {graphs}; {programs['fused_norms']} norms and "
        f"{programs['fused_rotaries']} rotary functions are one program each"
    )


def _budget(model: Mapping[str, Any]) -> Iterator[str]:
    budget, memory = model["budget"], model["memory"]
    free = "unknown" if memory is None else f"{size_text(memory['free'])} ({memory['said_by']})"
    pack = model["pack"]
    yield f"  packs: at most {pack['tokens']:,} tokens and {many(pack['requests'], 'request')}"
    yield (
        f"  budget: {budget['pass_tokens']:,} tokens a pass, {many(budget['slots'], 'row')} of "
        f"{budget['longest']:,} tokens decode together, {budget['kept_tokens']:,} tokens kept; "
        f"free memory {free}"
    )
    yield f"  seconds: {model['seconds']['load']} to load, {model['seconds']['check']} to check"
