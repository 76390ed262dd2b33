"""Reports and diffs: JSON, and renderers for the terminal and for pull requests."""

from evalc.report.build import build_report
from evalc.report.diff import Diff, diff_reports
from evalc.report.diff_views import diff_json, diff_markdown, diff_view
from evalc.report.markdown import report_markdown
from evalc.report.shape import Report, from_json, to_json
from evalc.report.terminal import report_view

__all__ = [
    "Diff",
    "Report",
    "build_report",
    "diff_json",
    "diff_markdown",
    "diff_reports",
    "diff_view",
    "from_json",
    "report_markdown",
    "report_view",
    "to_json",
]
