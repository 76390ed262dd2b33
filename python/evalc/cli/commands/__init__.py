"""One file for each command: options in, rendering out."""
