"""Memory of the process."""

import ctypes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Parameters of mallopt(3)."""
KEPT_BYTES, MAPPED_BYTES = 64 * 1024 * 1024, 32 * 1024 * 1024


def keep_freed_memory() -> None:
    """Let the process keep up to KEPT_BYTES of what it has freed, and allocate blocks below MAPPED_BYTES from it.

    By default glibc returns large blocks to the system at once, and each of their pages costs a fault when it is needed
    again: for a body of 7 MB twenty times what it costs to copy it. Other C libraries have no such setting.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        mallopt(M_MMAP_THRESHOLD, MAPPED_BYTES)
        mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
