"""What was not asked, and why not, in sentences."""

from __future__ import annotations

from evalc.report.shape import Report


def savings(report: Report) -> list[str]:
    """Requests and cases that the results did without, each kind of saving in a sentence."""
    return [line for line in (_requests(report), _cases(report)) if line]


def _requests(report: Report) -> str:
    plan = report["plan"]
    if plan is None or not plan["requests"]:
        return ""
    asked = sum(run.get("asked") or 0 for run in report["runs"])
    # the last run of these models and tasks may have been of another tier
    if asked > plan["cached"]:
        return ""
    stopped = plan["to_run"] if any("ended" in result for result in report["results"]) else 0
    kinds = (
        (plan["cached"] - asked, "answered by the cache"),
        (plan["deduped"], "the same as others"),
        (stopped, "not needed any more"),
    )
    saved = [f"{_share(n, plan['requests'])} {what}" for n, what in kinds if n]
    return "saved requests: " + ", ".join(saved) if saved else ""


def _cases(report: Report) -> str:
    ended = [result for result in report["results"] if result.get("ended") == "decided"]
    spared = sum(result["total"] - result["scored"] for result in ended)
    total = sum(result["total"] for result in report["results"])
    return f"stopped early: {_share(spared, total)} cases were not asked" if spared else ""


def _share(part: int, whole: int) -> str:
    """`120 of 500 (24 %)`."""
    return f"{part:,} of {whole:,} ({100 * part / whole:.0f} %)"
