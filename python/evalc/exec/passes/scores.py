"""The scored tokens of a pack, and the states whose turn at the output head is still to come."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from evalc.contract.outcomes import NO_ROOM
from evalc.contract.packs import Ids
from evalc.exec.layout.forest import Targets
from evalc.exec.memory.budget import attempted
from evalc.exec.passes.forward import Forward


class Scores:
    """Log-probability (float64) and whether it is the argmax, for each target; NaN until scored.

    States wait until they fill the head's rows, results on the device until `finish`. `failures`
    names requests that cannot be scored.
    """

    def __init__(self, forward: Forward, targets: Targets) -> None:
        self.targets = targets
        self.values: npt.NDArray[np.float64] = np.full(len(targets.at), np.nan)
        self.greedy: npt.NDArray[np.bool_] = np.zeros(len(targets.at), dtype=np.bool_)
        self.failures: dict[int, str] = {}
        self._forward = forward
        self._states: list[torch.Tensor] = []
        self._index: list[Ids] = []
        self._slots: list[Ids] = []
        self._found: list[tuple[Ids, torch.Tensor]] = []
        self._waiting = 0
        self._left = np.bincount(targets.owners)

    def add(self, states: torch.Tensor, index: Ids, slots: Ids) -> int:
        """Target `slots[k]` is to be scored on row `index[k]` of `states`; `index` ascends.

        Returns how many requests were finished.
        """
        self._states.append(states)
        self._index.append(index + self._waiting)
        self._slots.append(slots)
        self._waiting += len(states)
        whole = self._forward.shapes.head
        return self._score(self._waiting // whole * whole)

    def finish(self) -> int:
        """Score what waits and fetch all results; returns how many requests were finished."""
        finished = self._score(self._waiting)
        if self._found:
            values, greedy = torch.cat([found for _, found in self._found], dim=1).cpu().numpy()
            slots = np.concatenate([slots for slots, _ in self._found])
            self.values[slots], self.greedy[slots] = values, greedy > 0
            self._found.clear()
        return finished

    def _score(self, count: int) -> int:
        """Score the first `count` waiting states."""
        if not count:
            return 0
        states = torch.cat(self._states)
        index, slots = np.concatenate(self._index), np.concatenate(self._slots)
        cut = int(np.searchsorted(index, count))
        tokens = self.targets.tokens[slots[:cut]]
        found = attempted(lambda: self._forward.scores(states[:count], index[:cut], tokens))
        if found is None:
            owners = np.unique(self.targets.owners[slots[:cut]]).tolist()
            self.failures.update(dict.fromkeys(owners, f"the output head {NO_ROOM}"))
        else:
            self._found.append((slots[:cut], found))
        self._states, self._index = [states[count:]], [index[cut:] - count]
        self._slots, self._waiting = [slots[cut:]], self._waiting - count
        owners, counts = np.unique(self.targets.owners[slots[:cut]], return_counts=True)
        self._left[owners] -= counts
        return int((self._left[owners] == 0).sum())
