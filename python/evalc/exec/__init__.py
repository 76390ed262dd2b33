"""The executor, on torch: packs to records."""

from evalc import env

env.prepare_threads()  # here, since it has to precede whichever module imports torch first
