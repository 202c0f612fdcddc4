"""What all tests share."""

import signal

import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Small tensors are quicker on one thread, and tests share the machine."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def _interruptible() -> None:
    """What is started in the background ignores Ctrl-C, and so would every program that a test starts."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
