"""A report as one HTML file that asks the network nothing."""

from evalc.report.html.page import report_page

__all__ = ["report_page"]
