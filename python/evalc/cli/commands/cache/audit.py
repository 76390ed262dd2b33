"""`evalc cache audit`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click
from rich.table import Table

from evalc.cli import output
from evalc.cli.options.shared import request, selection_options
from evalc.cli.options.sizes import share_option
from evalc.cli.views.progress import METERED
from evalc.diagnostics.amounts import many
from evalc.errors import ExitCode
from evalc.run.audit import audit
from evalc.run.session import opened
from evalc.run.share import Share

TOLERANCE = 1e-3


@click.command("audit")
@selection_options
@click.option(
    "--sample",
    callback=share_option,
    default="1%",
    metavar="SHARE",
    help="Share of the hits to ask again, or how many. Default: 1%.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="Seed of the sample. Default: 0.",
)
@click.option(
    "--tolerance",
    type=click.FloatRange(min=0),
    default=TOLERANCE,
    metavar="NATS",
    help=f"Difference of log-likelihoods that is no flip. Default: {TOLERANCE:g}.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a versioned JSON document.")
def audit_command(
    sample: Share, seed: int, tolerance: float, as_json: bool, **arguments: Any
) -> int:
    """Ask the models again what the cache answers, for a sample, and report the flip rate.

    The cache is not changed. A record flips when its log-likelihood moves by more than the
    tolerance, its greedy flag or its text changes, or it fails; differences in bits are counted
    apart. The sampled records' share has Wilson's 95 % interval. Of multiple choice, the other
    choices of a sampled case are asked too, so that its argmax can be compared.
    """
    with opened(request(arguments), METERED) as (planned, store):
        found = audit(planned, store, sample, seed, tolerance, METERED)
    if as_json:
        output.document(found)
    else:
        for renderable in _view(found):
            output.table(renderable)
    return ExitCode.DONE


def _view(audit: dict[str, Any]) -> Iterator[Table | str]:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("model")
    table.add_column("task")
    for name in ("records", "flips", "rate", "95 % interval", "bits differ", "largest", "argmax"):
        table.add_column(name, justify="right", no_wrap=True)
    for task in audit["tasks"]:
        table.add_row(task["model"], task["task"], *_row(task))
    table.add_section()
    table.add_row("total", "", *_row(audit["total"]), style="bold")
    yield table
    yield ""
    yield (
        f"{audit['sampled']:,} of {audit['hits']:,} hits sampled with seed {audit['seed']}, "
        f"{many(audit['asked'], 'request')} asked again; a flip is more than "
        f"{audit['tolerance']:g} nats, another greedy flag or another text"
    )
    for each in audit["listed"][:5]:
        yield f"{each['key'][:16]}: {each['cached']} cached, {each['fresh'] or 'failed'} now"


def _row(counts: dict[str, Any]) -> list[str]:
    rate, argmax = counts["rate"], counts["argmax"]
    share = "-" if rate["share"] is None else f"{100 * rate['share']:.2f} %"
    interval = "-" if rate["low"] is None else f"{100 * rate['low']:.2f} - {100 * rate['high']:.2f}"
    return [
        f"{counts['records']:,}",
        f"{counts['flips']:,}",
        share,
        interval,
        f"{counts['bit_differences']:,}",
        f"{counts['largest_difference']:.2g}",
        "-" if argmax is None else f"{argmax['flips']:,} of {argmax['cases']:,}",
    ]
