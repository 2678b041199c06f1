"""What a large archive costs, in README: from screening.json, and never typed.

    python -m benchmarks.archive_cost    # also done by benchmarks.screening

Puts a sentence between two HTML comments of README.md.
"""

import json
import re
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
README = HERE.parent / "README.md"
BEGIN, END = "<!-- archive:begin -->", "<!-- archive:end -->"


def sentence(measured: dict[str, Any]) -> str:
    """What ``benchmarks.screening`` measured, for a million images."""
    rate = measured["images_per_second"]["mel-demo, one core"]
    width, height = measured["first_image_pixels"]
    return (
        f"One core ({measured['machine'].partition(',')[0]}) screens {rate:.0f} images of {width} "
        f"x {height} pixels a second, by [benchmarks/screening.json](benchmarks/screening.json): a "
        f"million cost {measured['core_hours_of_a_million_images']:.0f} core-hours, by the student "
        f"alone {measured['core_hours_of_a_million_images_by_the_student']:.0f}, and more where "
        "images are larger or storage is slow."
    )


def filled(readme: str, measured: dict[str, Any]) -> str:
    """README with that sentence; ValueError unless it has both marks, once."""
    text = f"{BEGIN}\n{sentence(measured)}\n{END}"
    found, times = re.subn(f"{BEGIN}.*{END}", lambda _: text, readme, flags=re.DOTALL)
    if times != 1:
        raise ValueError(f"README must hold {BEGIN} and {END} once")
    return found


def main() -> None:
    """Write it."""
    measured = json.loads((HERE / "screening.json").read_text(encoding="utf-8"))
    text = filled(README.read_text(encoding="utf-8"), measured)
    README.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
