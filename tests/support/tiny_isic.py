"""Folders of ISIC 2017, 2019 and 2020 in their original layout, with drawn lesions."""

import csv

from tests.support.lesions import draw_lesion


def _write(folder, table, images, lines, suffix=".jpg"):
    """A challenge's folder: its table, and a drawn image for each line's first value."""
    (folder / images).mkdir(parents=True, exist_ok=True)
    with (folder / table).open("w", newline="") as file:
        writer = csv.DictWriter(file, list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)
    for seed, line in enumerate(lines):
        name = next(iter(line.values()))
        draw_lesion("nv", seed=seed, size=(64, 64)).save(folder / images / (name + suffix))
    return folder


def write_isic2017(folder, count=12):
    lines = [
        {
            "image_id": f"ISIC_{n:07d}",
            "melanoma": f"{n % 3 == 0:d}.0",
            "seborrheic_keratosis": f"{n % 3 == 1:d}.0",
        }
        for n in range(count)
    ]
    table = "ISIC-2017_Training_Part3_GroundTruth.csv"
    _write(folder, table, "ISIC-2017_Training_Data", lines)
    return folder


def write_archive(folder, melanomas=12, nevi=6):
    """A selection of the archive: its table, and melanomas before nevi."""
    kinds = ["mel"] * melanomas + ["nv"] * nevi
    lines = [{"image_id": f"ISIC_{9000000 + n}", "dx": dx} for n, dx in enumerate(kinds)]
    return _write(folder, "metadata.csv", "images", lines)


def write_isic2019(folder):
    columns = ("MEL", "NV", "BCC", "AK", "BKL", "DF", "VASC", "SCC", "UNK")
    lines = [
        {"image": f"ISIC_{n:07d}{'_downsampled' if n % 2 else ''}"}
        | {column: f"{n == position:d}.0" for position, column in enumerate(columns)}
        for n in range(9)
    ]
    return _write(folder, "ISIC_2019_Training_GroundTruth.csv", "ISIC_2019_Training_Input", lines)


def write_isic2020(folder):
    diagnoses = [
        "melanoma",
        "nevus",
        "unknown",
        "lentigo NOS",
        "atypical melanocytic proliferation",
    ]
    lines = [
        {
            "image_name": f"ISIC_{n:07d}",
            "diagnosis": diagnosis,
            "benign_malignant": "malignant" if diagnosis == "melanoma" else "benign",
        }
        for n, diagnosis in enumerate(diagnoses)
    ]
    return _write(folder, "ISIC_2020_Training_GroundTruth.csv", "train", lines)
