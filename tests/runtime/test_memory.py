"""What a process does with the memory that it frees."""

import ctypes
import resource
import subprocess
import sys

import pytest

PROGRAM = """
import resource
from runtime.memory import keep_freed_memory

keep_freed_memory()
pieces = [bytes(100_000)] * 70
for _ in range(3):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    body = b"".join(pieces)
    del body
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="the C library has no mallopt")
def test_a_large_block_is_allocated_again_without_new_pages() -> None:
    printed = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=60)
    first, *later = map(int, printed.stdout.split())
    assert first > 7_000_000 // resource.getpagesize() * 0.9
    assert all(faults < 10 for faults in later)
