"""Running a pack of generate requests."""

from __future__ import annotations

from collections.abc import Sequence

from evalc.contract.outcomes import Outcomes
from evalc.contract.packs import PackColumns
from evalc.contract.settings import Setting
from evalc.exec.answer.continuous import Continuous
from evalc.exec.answer.lockstep import generate_in_lockstep
from evalc.exec.answer.transcripts import Decoder
from evalc.exec.answer.writers import Prompt
from evalc.exec.passes.engine import Engine


def run_generations(
    engine: Engine,
    columns: PackColumns,
    settings: Sequence[Setting],
    keys: Sequence[bytes],
    decoder: Decoder,
) -> Outcomes:
    """Generate for every request of a pack; `keys[r]` is the request key of request r.

    Requests whose settings differ in more than seed and slot never share a batch.
    """
    outcomes = Outcomes()
    manners: dict[tuple[object, ...], list[Prompt]] = {}
    for request in range(len(columns)):
        setting = settings[int(columns.req_setting[request])]
        ids = columns.ids(request)
        limit = min(setting.max_new_tokens, engine.max_length - len(ids))
        if limit <= 0:
            outcomes.failures[request] = (
                f"its prompt of {len(ids)} tokens leaves no room in the model's length "
                f"of {engine.max_length}"
            )
            continue
        prompt = Prompt(request, ids, setting, keys[request], limit)
        manners.setdefault(setting.manner, []).append(prompt)
    for prompts in manners.values():
        if engine.capability.path == "tree":
            _continuous(engine)(engine, columns, decoder, outcomes).run(prompts)
        else:
            generate_in_lockstep(engine, decoder, outcomes, prompts)
    return outcomes


def _continuous(engine: Engine) -> type[Continuous]:
    if not engine.forward.triton:
        return Continuous
    from evalc.exec.answer.pipelined import Pipelined  # noqa: PLC0415  needs triton

    return Pipelined
