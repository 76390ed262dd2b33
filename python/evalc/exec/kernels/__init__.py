"""Programs in Triton, and which of them run on this machine."""
