"""The store: one LMDB environment of sealed records, owned by Python's lmdb alone."""

from evalc.store.environment import Store

__all__ = ["Store"]
