"""Devices: where to compute, and how to make the most of the machine."""

import ctypes
import sys

import torch


def pick_device(name: str) -> torch.device:
    """Return the device called `name`; "auto" is cuda, else mps, else cpu.

    Raises:
        ValueError: torch does not know or does not see it.

    Example:
        >>> pick_device("cpu")
        device(type='cpu')
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    names = [kind for kind, is_available in available.items() if is_available]
    if name == "auto":
        return torch.device(names[0])
    if name not in names:
        raise ValueError(f"device {name!r} is not here, choose one of: auto, {', '.join(names)}")
    return torch.device(name)


def reuse_memory() -> None:
    """Set glibc to reuse freed memory in the next step; elsewhere this does nothing.

    By default buffers of some megabytes go back to the system and come again, page by page, in every step: a fifth of
    the training time.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        if hasattr(libc, "mallopt"):
            trim_threshold, mmap_threshold = -1, -3  # malloc.h
            libc.mallopt(mmap_threshold, 2**30)
            libc.mallopt(trim_threshold, 2**30)
