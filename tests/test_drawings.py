"""The drawn examples: the same every time, told apart from photographs, and as described."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from docs.drawings import DRAWINGS, NOTICE, draw, jpeg, main
from mel_demo.images import open_image
from mel_demo.screening import Screener

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "mel_demo/ui/examples"
SPOT = np.s_[200:250, 275:325]
SKIN = np.s_[20:60, 280:320]


@pytest.fixture(scope="module")
def drawn() -> dict[str, np.ndarray]:
    return {name: draw(name) for name in DRAWINGS}


def brightness(picture: np.ndarray) -> float:
    return float(picture.mean())


def sharpness(picture: np.ndarray) -> float:
    """Mean squared second difference of 4 x 4 means: a sensor's noise does not count."""
    grey = picture.mean(axis=2)[:448].reshape(112, 4, 150, 4).mean(axis=(1, 3))
    return float((np.diff(grey, 2, axis=0) ** 2).mean() + (np.diff(grey, 2, axis=1) ** 2).mean())


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_drawing_is_a_picture_and_the_same_every_time(name: str, drawn) -> None:
    picture = drawn[name]
    assert picture.shape == (450, 600, 3)
    assert picture.dtype == np.uint8
    assert (picture == draw(name)).all()


def test_no_two_drawings_or_titles_are_alike(drawn) -> None:
    assert len({picture.tobytes() for picture in drawn.values()}) == len(drawn)
    assert len({drawing.title for drawing in DRAWINGS.values()}) == len(drawn)
    assert all(drawing.description for drawing in DRAWINGS.values())


def test_the_same_mole_lies_on_ever_darker_skin(drawn) -> None:
    names = ("nevus", "nevus-brown", "nevus-dark")
    skins = [brightness(drawn[name][SKIN]) for name in names]
    assert skins[0] > skins[1] + 30 > skins[2] + 60
    for name, skin in zip(names, skins, strict=True):
        assert brightness(drawn[name][SPOT]) < skin - 15


def test_the_pictures_show_what_their_titles_say(drawn) -> None:
    assert sharpness(drawn["blurred"]) < 0.2 * sharpness(drawn["irregular"])
    assert (drawn["overexposed"] == 255).all(axis=2).mean() > 0.4
    assert (drawn["nevus"] == 255).all(axis=2).mean() == 0
    red, green, blue = drawn["vascular"][SPOT].reshape(-1, 3).mean(axis=0)
    assert red > 1.5 * max(green, blue)
    # A landscape's sky is bluer than it is red, skin is not.
    assert drawn["landscape"][:60, ..., 2].mean() > drawn["landscape"][:60, ..., 0].mean()


def test_a_written_drawing_says_that_it_is_none_of_a_photograph() -> None:
    file = jpeg("nevus")
    with Image.open(io.BytesIO(file)) as image:
        assert image.info["comment"].decode() == NOTICE
        assert image.getexif()[0x010E] == NOTICE
    judged = open_image(file).astype(int)
    assert np.abs(judged - draw("nevus")).mean() < 4


def test_the_painter_writes_them_all_and_says_where(tmp_path, capsys) -> None:
    folder = tmp_path / "new" / "drawings"
    main(folder)
    assert capsys.readouterr().out == f"{len(DRAWINGS)} drawings written to {folder}\n"
    assert {path.name for path in folder.iterdir()} == {f"{name}.jpg" for name in DRAWINGS}
    assert (folder / "hair.jpg").read_bytes() == jpeg("hair")


def test_the_page_offers_exactly_these_drawings(drawn) -> None:
    assert {path.stem for path in EXAMPLES.iterdir()} == set(DRAWINGS)
    for name, picture in drawn.items():
        with Image.open(EXAMPLES / f"{name}.jpg") as shipped:
            # What JPEG takes away: a drawing of another seed or an older brush differs by far more.
            difference = np.abs(np.asarray(shipped, float) - picture).mean()
        assert difference < 4, f"{name}: run `python -m docs.drawings {EXAMPLES}`"


def test_every_drawing_is_judged_but_the_landscape_and_shows_what_it_is_there_for() -> None:
    screener = Screener(ROOT / "weights")
    found = {
        name: {item.code: item.severity for item in screener.screen(open_image(path)).findings}
        for name, path in ((name, EXAMPLES / f"{name}.jpg") for name in DRAWINGS)
    }
    refused = {name for name, findings in found.items() if "refusal" in findings.values()}
    assert refused == {"landscape"}
    assert found["hair"] == {"hair": "info"}
    assert found["overexposed"] == {"overexposed": "warning"}
    assert found["blurred"] == {"blurred": "warning"}
