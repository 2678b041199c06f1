"""The page in real Chromium while its server goes away and comes back."""

import pytest
from PIL import Image

from mel_demo.texts import Texts
from tests.support.apart import write_weights_apart
from tests.support.browsing import open_page, upload, wait_until_empty
from tests.support.running import free_port, running_app

pytestmark = pytest.mark.browser
LOST, FORGOTTEN = ".lost:visible", ".hero.forgotten"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_weights_apart(tmp_path_factory.mktemp("restart") / "weights", evidence=True)


@pytest.mark.parametrize("language", ["en", "de"])
def test_a_restart_is_said_and_leaves_no_old_verdict(chrome, weights, tmp_path, language):
    t, port, picture = Texts(language), free_port(), tmp_path / "red.png"
    Image.new("RGB", (200, 150), "red").save(picture)
    with running_app(weights, tmp_path, port=port) as app:
        idle = open_page(chrome, app.url, 1440, 900, locale=language)
        moved = open_page(chrome, app.url, 390, 844, locale=language)
        for page in (idle, moved):
            upload(page, picture, until=".hero.disagree")
            assert page.locator(LOST).count() == 0
    for page in (idle, moved):
        assert page.inner_text(LOST) == t("lost")
    before = moved.url
    moved.locator("#target input[type=range]").press("Home")
    with running_app(weights, tmp_path, port=port):
        for page in (idle, moved):
            page.wait_for_selector(f"{FORGOTTEN}:has-text('{t('forgotten')}')")
            wait_until_empty(page, "#pictures")
            assert page.locator(".card:not(.empty)").count() == 0
            assert page.locator(LOST).count() == 0
        assert "sensitivity=0.8" in moved.url != before
        upload(idle, picture, until=".hero.disagree")
    for page in (idle, moved):
        page.context.close()
