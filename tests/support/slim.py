"""A virtual environment with what requirements.txt leads to and nothing else, without a network.

Its packages are links to those of the running environment: what is installed there beside them,
such as torch, is not seen.
"""

import re
import subprocess
import sys
import venv
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]


def closure(requirements: Path = ROOT / "requirements.txt") -> dict[str, metadata.Distribution]:
    """All distributions that the lines of ``requirements`` need, by their plain names."""
    lines = [line.partition("#")[0].strip() for line in requirements.read_text().splitlines()]
    wanted = [Requirement(line) for line in lines if line]
    found: dict[str, metadata.Distribution] = {}
    while wanted:
        requirement = wanted.pop()
        name = re.sub(r"[-_.]+", "-", requirement.name).lower()
        if name in found:
            continue
        found[name] = metadata.distribution(name)
        for needed in map(Requirement, found[name].requires or []):
            extras = ["", *requirement.extras]
            if needed.marker is None or any(
                needed.marker.evaluate({"extra": extra}) for extra in extras
            ):
                wanted.append(needed)
    return found


def slim_python(folder: Path) -> tuple[str, int]:
    """Make the environment in ``folder``: its interpreter, and the bytes of its packages."""
    venv.create(folder, with_pip=False, symlinks=True)
    (site,) = folder.glob("lib/python*/site-packages")
    size = 0
    for distribution in closure().values():
        for file in distribution.files or []:
            top, path = file.parts[0], Path(distribution.locate_file(file))
            if top in ("..", "__pycache__") or not path.exists():
                continue
            size += path.stat().st_size
            link = site / top
            if not link.exists():
                link.symlink_to(Path(distribution.locate_file(top)).resolve())
    python = str(next(folder.glob("bin/python")))
    subprocess.run([python, "-c", "import gradio, onnxruntime"], check=True, timeout=120)
    return python, size


if __name__ == "__main__":
    print(*sorted(closure()), sep="\n", file=sys.stderr)
