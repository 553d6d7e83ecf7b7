"""Devices: where to compute, and how to make the most of the machine."""

import ctypes
import sys

import torch


def pick_device(name: str) -> torch.device:
    """Return the device called `name`; "auto" is cuda, else mps, else cpu.

    Raises:
        ValueError: torch does not know or does not see it.
    """
    seen = [
        kind
        for kind, there in (
            ("cuda", torch.cuda.is_available()),
            ("mps", torch.backends.mps.is_available()),
            ("cpu", True),
        )
        if there
    ]
    if name == "auto":
        return torch.device(seen[0])
    if name not in seen:
        raise ValueError(f"device {name!r} is not here, choose one of: auto, {', '.join(seen)}")
    return torch.device(name)


def reuse_memory() -> None:
    """Tell glibc to keep freed memory for the next step; elsewhere this does nothing.

    By default buffers of some megabytes go back to the system and come again, page by page, in every step: a fifth of the training time.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        if hasattr(libc, "mallopt"):
            trim_threshold, mmap_threshold = -1, -3  # malloc.h
            libc.mallopt(mmap_threshold, 2**30)
            libc.mallopt(trim_threshold, 2**30)
