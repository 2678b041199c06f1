"""The machine a number was measured on, in words. Knows nothing of what was measured."""

import os
import platform
from pathlib import Path


def processor() -> str:
    """Name of the processor, as Linux tells it or as Python does elsewhere."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def cores() -> int:
    """Cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def describe() -> str:
    """Processor and cores: "AMD EPYC 7763, 2 cores"."""
    return f"{processor()}, {cores()} core{'s' if cores() > 1 else ''}"
