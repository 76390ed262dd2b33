"""The store: one LMDB environment of sealed records, owned by Python's lmdb alone."""

from evalc.store.environment import Store
from evalc.store.records import Answer, Likelihood, decode_answer, decode_likelihoods

__all__ = ["Answer", "Likelihood", "Store", "decode_answer", "decode_likelihoods"]
