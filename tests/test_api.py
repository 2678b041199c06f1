"""The endpoint /screen, as a client calls it over HTTP."""

import io

import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from mel_demo.images import MAX_BYTES, open_image
from mel_demo.operating_point import choose, decide
from tests.lesions import draw_lesion
from tests.running import running_app


@pytest.fixture(scope="module")
def app(tiny_weights, tmp_path_factory):
    with running_app(tiny_weights, tmp_path_factory.mktemp("cache")) as running:
        yield running


@pytest.fixture(scope="module")
def client(app):
    return Client(app.url, verbose=False)


def call(client, path, *target):
    return client.predict(handle_file(path), *target, api_name="/screen")


@pytest.mark.parametrize("target", [0.95, 0.8])
def test_both_models_answer_what_the_command_line_would(client, tiny_screener, tmp_path, target):
    path = tmp_path / "lesion.png"
    draw_lesion("mel", seed=3).save(path)
    answer, teacher_map, student_map = call(client, path, target)
    screening = tiny_screener.screen(open_image(path))
    for key in ("teacher", "student"):
        found, prediction = answer["models"][key], screening.predictions[key]
        table = tiny_screener.manifest.models[key].operating_table
        decision = decide(prediction, table, target)
        assert found["melanoma_probability"] == pytest.approx(prediction.melanoma_probability)
        assert found["threshold"] == choose(table, target).threshold
        assert found["decision"] == ("refer" if decision.refer else "no referral")
        assert sum(found["probabilities"].values()) == pytest.approx(1)
        assert found["milliseconds"] > 0
    for picture in (teacher_map, student_map):
        assert Image.open(picture).size == (200, 150)
    assert "not a medical device" in answer["notice"]


def test_the_target_defaults_to_95_percent(client, tmp_path):
    draw_lesion().save(tmp_path / "a.jpg")
    assert call(client, tmp_path / "a.jpg")[0]["target_sensitivity"] == 0.95


def test_disagreement_and_findings_are_told(client, tmp_path):
    Image.new("RGB", (300, 100), (255, 0, 0)).save(tmp_path / "red.png")
    answer = call(client, tmp_path / "red.png", 0.95)[0]
    assert answer["agree"] is False
    assert "elongated" in {finding["code"] for finding in answer["findings"]}


def _png(**options) -> bytes:
    file = io.BytesIO()
    Image.new("1", options.pop("size")).save(file, "PNG", **options)
    return file.getvalue()


def _jpeg() -> bytes:
    file = io.BytesIO()
    draw_lesion(size=(300, 200)).save(file, "JPEG")
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda: b"", "The file is empty"),
        (lambda: b"<html>hello</html>", "not an image that can be read"),
        (lambda: _png(size=(10_000, 6_000)), "60.0 megapixels"),
        (lambda: _jpeg() + bytes(MAX_BYTES), "at most 20 MB"),
        (lambda: _jpeg()[:900], "cut off or damaged"),
    ],
    ids=["empty", "not an image", "60 megapixels", "21 MB", "truncated"],
)
def test_a_file_that_cannot_be_judged_says_why(client, tmp_path, content, message):
    path = tmp_path / "upload.jpg"
    path.write_bytes(content())
    with pytest.raises(AppError, match=message):
        call(client, path, 0.95)


@pytest.mark.parametrize("target", [0.5, 1.0, 95])
def test_a_target_out_of_range_names_the_range(client, tmp_path, target):
    draw_lesion().save(tmp_path / "a.jpg")
    with pytest.raises(AppError, match=r"0\.8 to 0\.995"):
        call(client, tmp_path / "a.jpg", target)


def _rotated(path):
    exif = Image.Exif()
    exif[0x0112] = 6
    draw_lesion(size=(300, 200)).save(path, exif=exif)


@pytest.mark.parametrize(
    ("name", "save", "size"),
    [
        ("cmyk.jpg", lambda path: draw_lesion().convert("CMYK").save(path), (200, 150)),
        ("rotated.jpg", _rotated, (200, 300)),
        (
            "deep.png",
            lambda path: Image.fromarray(np.full((60, 80), 40_000, np.uint16)).save(path),
            (80, 60),
        ),
    ],
)
def test_whatever_it_was_it_is_judged_upright(client, tmp_path, name, save, size):
    save(tmp_path / name)
    assert Image.open(call(client, tmp_path / name, 0.95)[1]).size == size


def test_the_page_s_own_events_are_not_offered(client):
    assert list(client.view_api(return_format="dict")["named_endpoints"]) == ["/screen"]


def test_the_page_is_ready_within_seconds(app):
    # The promise is 8 s on a quiet machine; this one may be busy with other tests.
    assert app.seconds < 20
