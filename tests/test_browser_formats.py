"""Files that browsers cannot show, in real Chromium: TIFF, HEIC and DICOM are judged and shown."""

import numpy as np
import pytest
from PIL import Image

from tests.mel_demo.test_image_extras import RGB, dicom
from tests.support.browsing import open_page, upload
from tests.support.running import running_app
from tests.support.tiny_weights import write_tiny_weights

pytestmark = pytest.mark.browser
DARK, BLUE = (40, 20, 20), (0, 0, 255)
NAMES = ("lesion.tif", "lesion.heic", "lesion.dcm", "IM000001")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Every format of NAMES, in a dark colour that is referred and in a blue that is refused."""
    pytest.importorskip("pillow_heif").register_heif_opener()
    folder = tmp_path_factory.mktemp("formats")
    for colour in (DARK, BLUE):
        made = folder / str(colour[2])
        made.mkdir()
        for name in NAMES[:2]:
            Image.new("RGB", (320, 240), colour).save(made / name)
        pixels = np.full_like(RGB, colour)[None]
        for name in NAMES[2:]:
            (made / name).write_bytes(dicom(pixels))
    return folder / str(DARK[2]), folder / str(BLUE[2])


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_tiny_weights(tmp_path_factory.mktemp("refusing"), refusing=True)


@pytest.fixture(scope="module")
def url(weights, tmp_path_factory):
    with running_app(weights, tmp_path_factory.mktemp("cache")) as running:
        yield running.url


@pytest.mark.parametrize("name", NAMES)
def test_it_is_judged_and_shown(chrome, url, files, name):
    page = open_page(chrome, url, 1440, 900)
    upload(page, files[0] / name, until=".hero.now.refer")
    page.wait_for_selector("#pictures .sheet")
    sheet = "getComputedStyle(document.querySelector('#pictures .sheet')).backgroundImage"
    assert page.evaluate(sheet).startswith('url("data:image/jpeg')
    page.click("[data-another]")
    page.wait_for_selector("#start", state="visible")
    upload(page, files[1] / name, until=".hero.now.refused")
    page.wait_for_function(
        "[...document.querySelectorAll('#upload img')].some(one => one.naturalWidth > 50)"
    )
    assert page.locator("#upload img.unseen").count() == 0
    page.context.close()


def test_a_dropped_file_without_a_suffix_is_taken(chrome, url, files):
    page = open_page(chrome, url, 1440, 900)
    content = (files[0] / "IM000001").read_bytes().hex()
    page.evaluate(
        """content => {
          const bytes = Uint8Array.from(content.match(/../g), pair => parseInt(pair, 16));
          const dataTransfer = new DataTransfer();
          dataTransfer.items.add(new File([bytes], 'IM000001'));
          const place = document.querySelector('#upload button');
          for (const type of ['dragenter', 'dragover', 'drop']) {
            place.dispatchEvent(
              new DragEvent(type, { bubbles: true, cancelable: true, dataTransfer }));
          }
        }""",
        content,
    )
    page.wait_for_selector(".hero.now.refer")
    page.context.close()


def test_without_the_extras_the_page_says_what_is_missing(chrome, weights, files, tmp_path):
    for name in ("pillow_heif", "pydicom"):
        (tmp_path / f"{name}.py").write_text("raise ImportError", encoding="utf-8")
    more = {"PYTHONPATH": str(tmp_path)}
    with running_app(weights, tmp_path / "cache", more=more) as running:
        page = open_page(chrome, running.url, 1440, 900)
        for name, says in (("lesion.heic", "HEIC photo"), ("IM000001", "DICOM picture")):
            upload(page, files[0] / name, until=f".hero.problem:has-text('{says}')")
            assert "pip install" in page.inner_text(".hero.problem")
        page.context.close()
