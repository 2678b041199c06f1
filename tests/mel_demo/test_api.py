"""The endpoint /screen, as a client calls it over HTTP."""

import base64
import io
import json
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import gradio as gr
import numpy as np
import pytest
from gradio.data_classes import ImageData
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from mel_demo.decision.operating_point import choose, decide
from mel_demo.errors import ImageError
from mel_demo.images import MAX_BYTES, open_image
from mel_demo.screening import Screener
from mel_demo.ui import case
from mel_demo.ui.upload import image_input
from tests.support.apart import write_weights_apart
from tests.support.lesions import draw_lesion
from tests.support.running import NotStartedError, running_app

BOTH = ("teacher", "student")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_weights_apart(tmp_path_factory.mktemp("apart"))


@pytest.fixture(scope="module")
def screener(weights):
    return Screener(weights, threads=1)


@pytest.fixture(scope="module")
def app(weights, tmp_path_factory):
    with running_app(weights, tmp_path_factory.mktemp("cache")) as running:
        yield running


@pytest.fixture(scope="module")
def client(app):
    return Client(app.url, verbose=False)


def call(client, path, *target):
    return client.predict(handle_file(path), *target, api_name="/screen")


@pytest.mark.parametrize("target", [0.995, 0.95, 0.8])
def test_both_models_answer_what_the_command_line_would(client, screener, tmp_path, target):
    path = tmp_path / "lesion.png"
    draw_lesion("mel", seed=3).save(path)
    answer, *maps = call(client, path, target)
    screening = screener.screen(open_image(path))
    assert answer["target_sensitivity"] == target
    assert set(answer["models"]) == set(BOTH)
    for key in BOTH:
        found, prediction = answer["models"][key], screening.predictions[key]
        table = screener.manifest.models[key].operating_table
        decision = decide(prediction, table, target)
        assert found["melanoma_probability"] == pytest.approx(prediction.melanoma_probability)
        assert found["threshold"] == choose(table, target).threshold
        assert found["decision"] == ("refer" if decision.refer else "no referral")
        assert list(found["probabilities"].values()) == pytest.approx(prediction.probabilities)
        assert found["probabilities"]["mel"] == found["melanoma_probability"]
        assert found["milliseconds"] > 0
    bare = np.asarray(Image.open(path))
    for picture in maps:
        drawn = np.asarray(Image.open(picture).convert("RGB"))
        assert drawn.shape == bare.shape
        assert (drawn != bare).any()
    assert "not a medical device" in answer["notice"]


def test_the_target_defaults_to_95_percent(client, tmp_path):
    draw_lesion().save(tmp_path / "a.jpg")
    answer = call(client, tmp_path / "a.jpg")[0]
    assert answer["target_sensitivity"] == 0.95
    assert [finding["code"] for finding in answer["findings"]] == ["enlarged"]


def test_a_refused_image_gets_probabilities_and_no_verdict(refusing_weights, tmp_path):
    screener = Screener(refusing_weights, threads=1)
    Image.new("RGB", (200, 200), (0, 0, 255)).save(tmp_path / "blue.png")
    judged = case.judge(screener, tmp_path / "blue.png")
    setting = case.Setting()
    readings = case.read(screener, setting)
    verdict = case.decide(judged.screening, readings, setting, judged.silent)
    answer = json.loads(json.dumps(case.as_json(screener, judged, readings, verdict, setting)))
    assert answer["decision"] is None
    assert answer["versions"]["weights"] == screener.manifest.version
    assert answer["refused"] is True
    assert answer["agree"] is None
    assert answer["findings"][0]["code"] == "not_dermoscopy"
    for key, prediction in judged.screening.predictions.items():
        assert answer["models"][key]["decision"] is None
        assert answer["models"][key]["melanoma_probability"] == prediction.melanoma_probability


@pytest.mark.parametrize(
    ("colour", "target", "decisions"),
    [
        ((128, 128, 128), 0.95, {"teacher": "refer", "student": "refer"}),
        ((128, 128, 128), 0.80, {"teacher": "no referral", "student": "refer"}),
        ((255, 0, 0), 0.95, {"teacher": "no referral", "student": "refer"}),
        ((0, 255, 0), 0.95, {"teacher": "refer", "student": "no referral"}),
        ((255, 255, 255), 0.95, {"teacher": "no referral", "student": "no referral"}),
    ],
)
def test_agreement_is_told(client, screener, tmp_path, colour, target, decisions):
    Image.new("RGB", (200, 200), colour).save(tmp_path / "plain.png")
    answer = call(client, tmp_path / "plain.png", target)[0]
    assert {key: found["decision"] for key, found in answer["models"].items()} == decisions
    assert answer["agree"] is (len(set(decisions.values())) == 1)
    assert answer["refused"] is False
    overall = {"refer", "no referral"} & {answer["decision"]}
    assert overall == (set(decisions.values()) if answer["agree"] else set())
    screening = screener.screen(np.full((200, 200, 3), colour, np.uint8))
    codes = [finding.code for finding in screening.findings]
    assert [finding["code"] for finding in answer["findings"]] == codes


def test_findings_are_told(client, tmp_path):
    draw_lesion(size=(600, 200)).save(tmp_path / "long.png")
    (finding,) = call(client, tmp_path / "long.png")[0]["findings"]
    assert (finding["code"], finding["severity"]) == ("elongated", "warning")
    assert "600 x 200" in finding["text"]


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
    with pytest.raises(ImageError, match=message) as here:
        open_image(path)
    with pytest.raises(AppError) as there:
        call(client, path, 0.95)
    assert str(there.value) == str(here.value)


def test_no_file_at_all_says_what_to_send(client):
    with pytest.raises(AppError, match="send one file"):
        client.predict(None, 0.95, api_name="/screen")


@pytest.mark.parametrize("url", ["https://example.org/lesion.jpg", "file:///etc/passwd"])
def test_an_address_is_not_fetched_and_said_so(url):
    with pytest.raises(gr.Error, match="not fetched from an address"):
        image_input().preprocess(ImageData(url=url, path=None))


@pytest.mark.parametrize("name", ["path", "url"])
def test_no_address_is_fetched_for_a_program(app, name):
    sent = {name: f"{app.url}/drawings/nevus.jpg", "meta": {"_type": "gradio.FileData"}}
    answer = post_raw(app, sent)
    assert "event: error" in answer
    assert "not fetched from an address" in answer


@pytest.mark.parametrize("target", [0.5, 0.7999, 1.0, 95, -1, "high", None])
def test_a_target_out_of_range_names_the_range(client, tmp_path, target):
    draw_lesion().save(tmp_path / "a.jpg")
    with pytest.raises(AppError, match=rf"is {target!r}; choose one from 0\.8 to 0\.995"):
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
        ("clear.png", lambda path: draw_lesion().convert("RGBA").save(path), (200, 150)),
        ("no suffix", lambda path: draw_lesion().save(path, "WEBP"), (200, 150)),
    ],
)
def test_whatever_it_was_it_is_judged_upright(client, screener, tmp_path, name, save, size):
    path = tmp_path / name
    save(path)
    answer, *maps = call(client, path, 0.95)
    assert [Image.open(picture).size for picture in maps] == [size, size]
    expected = screener.screen(open_image(path)).teacher.melanoma_probability
    assert answer["models"]["teacher"]["melanoma_probability"] == pytest.approx(expected)


def test_calls_at_the_same_time_do_not_mix(client, tmp_path):
    paths = [tmp_path / f"{level}.png" for level in (20, 80, 140, 200)]
    for path in paths:
        Image.new("RGB", (200, 200), (int(path.stem),) * 3).save(path)

    def probability(path):
        return call(client, path)[0]["models"]["teacher"]["melanoma_probability"]

    alone = [probability(path) for path in paths]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(probability, paths)) == alone
    assert alone == sorted(set(alone), reverse=True)  # the darker, the likelier


def post_raw(app, image) -> str:
    """The answer to ``image`` as JSON, by HTTP alone, as any program might send it."""
    url = f"{app.url}/gradio_api/call/screen"
    body = json.dumps({"data": [image, 0.95]}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        event = json.load(answer)["event_id"]
    with urllib.request.urlopen(f"{url}/{event}", timeout=30) as answer:
        return answer.read().decode()


# Gradio looks after files that call themselves so by "meta", and after no others.
@pytest.mark.parametrize(
    "more",
    [{"meta": {"_type": "gradio.FileData"}}, {}, {"meta": {"_type": "x"}}, {"meta": {}}],
    ids=["as Gradio's client", "without meta", "of another kind", "with empty meta"],
)
@pytest.mark.parametrize(
    "path",
    ["secret", "weights/manifest.json", "/etc/passwd", "/tmp", "/dev/zero", "no such", "a\0b"],
)
def test_files_of_the_server_are_not_judged(app, tmp_path, path, more):
    if path == "secret":
        draw_lesion().save(tmp_path / "secret.png")
        path = str(tmp_path / "secret.png")
    answer = post_raw(app, {"path": path} | more)
    assert "event: error" in answer
    assert "was not uploaded" in answer


@pytest.mark.parametrize("image", [{"path": "x.jpg", "meta": "gradio.FileData"}, "x.jpg", 7, []])
def test_what_is_no_file_at_all_is_refused_in_words(app, image):
    answer = post_raw(app, image)
    assert "event: error" in answer
    assert "was not uploaded" in answer


def test_a_picture_may_be_sent_within_the_request(app):
    url = "data:image/jpeg;base64," + base64.b64encode(_jpeg()).decode()
    answer = post_raw(app, {"url": url, "meta": {"_type": "gradio.FileData"}})
    assert "event: complete" in answer
    assert "melanoma_probability" in answer


def test_the_page_s_own_events_are_not_offered(client):
    offered = client.view_api(return_format="dict")
    assert list(offered["named_endpoints"]) == ["/screen"]
    assert not offered["unnamed_endpoints"]
    parameters = {
        item["parameter_name"]: item["parameter_default"]
        for item in offered["named_endpoints"]["/screen"]["parameters"]
    }
    assert parameters == {"image": None, "target_sensitivity": 0.95}


def test_weights_that_are_not_there_are_named_without_a_traceback(tmp_path):
    with pytest.raises(NotStartedError) as caught, running_app(tmp_path / "none", tmp_path):
        pass
    assert f"Error: Weights '{tmp_path / 'none'}': not a folder" in str(caught.value)
    assert "Traceback" not in str(caught.value)
