"""A run without a terminal: it plans, asks, scores, decides and reports, and prints nothing."""
