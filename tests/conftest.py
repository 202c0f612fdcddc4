"""What all tests share."""

import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Small tensors are quicker on one thread, and tests share the machine."""
    torch.set_num_threads(1)
