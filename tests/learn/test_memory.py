import resource
import sys

import pytest
import torch

from velodrome.learn.memory import keep_freed_memory

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only glibc can be told")


def faults_of(rounds: int) -> int:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(rounds):
        large = [torch.zeros(2**19) for _ in range(8)]
        del large
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def test_freed_memory_is_used_again() -> None:
    if not keep_freed_memory():
        pytest.skip("this C library cannot be told to keep freed memory")
    faults_of(2)
    pages_of_a_round = 8 * 2**21 // 4096
    assert faults_of(20) < pages_of_a_round
