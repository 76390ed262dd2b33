"""The commands of `evalc cache`."""
