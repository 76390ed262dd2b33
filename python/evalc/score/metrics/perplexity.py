"""Perplexity over a corpus: exp(-total log-likelihood / total units), not a mean over texts.

The logarithms are natural; the windows of a text are summed first.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from evalc.score.columns import Measured, Ratio
from evalc.score.metrics.inputs import Inputs


def _per_unit(
    inputs: Inputs, units: npt.NDArray[Any], *, scale: float = 1.0, exponential: bool = True
) -> Measured:
    numerator = -inputs.cell.sums(inputs.cell.loglik) * scale
    denominator = units.astype(np.float64)
    with np.errstate(over="ignore"):
        safe = np.where(denominator > 0, denominator, np.nan)
        values = np.exp(numerator / safe) if exponential else numerator / safe
    return Measured(values, inputs.answered, Ratio(numerator, denominator, exponential))


def word_perplexity(inputs: Inputs, _: int) -> Measured:
    """Per word of the text as written (split at white space)."""
    return _per_unit(inputs, inputs.cell.text_words)


def byte_perplexity(inputs: Inputs, _: int) -> Measured:
    """Per UTF-8 byte."""
    return _per_unit(inputs, inputs.cell.text_bytes)


def bits_per_byte(inputs: Inputs, _: int) -> Measured:
    """Base-2 logarithm of `byte_perplexity`."""
    return _per_unit(inputs, inputs.cell.text_bytes, scale=1 / math.log(2), exponential=False)


def token_perplexity(inputs: Inputs, _: int) -> Measured:
    """Per token of the model's own tokenizer: not comparable between tokenizers."""
    return _per_unit(inputs, inputs.cell.sums(inputs.cell.cont_tokens))
