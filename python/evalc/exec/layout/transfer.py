"""Taking numbers to a device without waiting for what it is doing."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch


def moved(array: npt.NDArray[Any], device: torch.device) -> torch.Tensor:
    """`array` as a tensor on `device`, with its dtype.

    From pageable memory torch waits until the device has done all its work; from pinned memory the
    copy takes its turn, and the allocator keeps the memory until it is done.
    """
    tensor = torch.from_numpy(np.ascontiguousarray(array))
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)
