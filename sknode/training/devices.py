"""Devices by name, and whether they are there."""

import torch

__all__ = ["DEVICES", "device_or_cpu", "resolve_device"]

DEVICES = ("cpu", "cuda", "mps")


def resolve_device(device: str | torch.device) -> torch.device:
    """Resolve a device, and complain if it is not there."""
    if isinstance(device, str) and device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(device)
    available = {
        "cuda": torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }
    if not available.get(device.type, True):
        raise ValueError(f"device={str(device)!r} is not available here; use 'cpu' or 'auto'")
    return device


def device_or_cpu(device: str | torch.device) -> torch.device:
    """Resolve a device, which is the CPU where it is not there."""
    try:
        return resolve_device(device)
    except ValueError:
        return torch.device("cpu")
