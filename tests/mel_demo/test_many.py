"""Many images: the table, the CSV file that holds the same, and the judging of one of them."""

import asyncio
import base64
import csv
import io
import re
from html import unescape

import pytest
from PIL import Image

from mel_demo.decision.operating_point import choose
from mel_demo.errors import SettingError
from mel_demo.findings import OF_FILES
from mel_demo.manifest import CLASS_NAMES, MELANOMA
from mel_demo.screening import Screener
from mel_demo.texts import LANGUAGES, Texts, catalogue
from mel_demo.ui import case, many_table
from mel_demo.ui.case import Setting
from mel_demo.ui.many import LIMIT, Many
from tests.support.apart import write_weights_apart

T = Texts()
BOTH = ("teacher", "student")


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    folder = tmp_path_factory.mktemp("apart")
    return Many(Screener(write_weights_apart(folder, evidence=True, elsewhere=True), threads=1))


def shares(melanoma, leading="nv"):
    """Seven probabilities with the rest on ``leading``."""
    found = [0.0] * len(CLASS_NAMES)
    found[CLASS_NAMES.index(leading)] = 1 - melanoma
    found[MELANOMA] = melanoma
    return found


def image(number, name, teacher=0.0, student=None, leading="nv", **more):
    student = teacher if student is None else student
    given = zip(BOTH, (teacher, student), strict=True)
    probabilities = {key: shares(value, leading) for key, value in given}
    return {"id": number, "name": name, "probabilities": probabilities} | more


BROKEN = {"id": 9, "name": "broken.jpg", "error": "It is <b>cut off</b>."}
IMAGES = [
    image(1, "calm.jpg", 0.001),
    image(2, "other.jpg", 0.002, leading="bcc"),
    BROKEN,
    image(3, "apart.jpg", 0.001, 0.99),
    image(4, "sure.jpg", 0.99, findings=["hair"]),
    image(5, "likely.jpg", 0.9),
    image(6, "cat.jpg", 0.99, refused=True, findings=["not_dermoscopy", "blurred"]),
]


def rows_of(html):
    """The texts of every body row's cells."""
    body = html.partition("<tbody>")[2]
    rows = [re.findall(r"<t[hd].*?</t[hd]>", row, re.DOTALL) for row in body.split("</tr>")[:-1]]
    return [[" ".join(unescape(re.sub(r"<[^>]*>", " ", c)).split()) for c in row] for row in rows]


def saved(many, sent, setting=None):
    return list(csv.DictReader(io.StringIO(many.save(sent, setting or Setting()))))


def test_disagreements_come_first_and_bad_files_are_rows_with_their_sentence(many):
    rows = rows_of(many.draw({"images": IMAGES}, "en", Setting()))
    names = ["apart.jpg", "sure.jpg", "likely.jpg", "other.jpg", "calm.jpg", "cat.jpg"]
    assert [row[0] for row in rows] == [*names, "broken.jpg"]
    assert [row[1] for row in rows[:5]] == [
        T("many_disagree_one"),
        T("verdict_refer"),
        T("verdict_refer"),
        T("many_other_cancer_one"),
        T("verdict_no_referral"),
    ]
    assert rows[1][-1] == T("short_hair")
    assert T("many_refused_one") in rows[5]
    assert not any("%" in cell for cell in rows[5])
    assert rows[6][2] == BROKEN["error"]


def test_a_file_cannot_write_into_the_page(many):
    html = many.draw({"images": [image(1, "<img src=x onerror=alert(1)>.jpg")]}, "en", Setting())
    assert "<img" not in html
    assert "<b>cut" not in many.draw({"images": [BROKEN]}, "en", Setting())


@pytest.mark.parametrize("target", [0.8, 0.95, 0.995])
@pytest.mark.parametrize("looking_for", ["melanoma", "skin_cancer"])
def test_the_decision_is_the_one_rule_at_the_setting(many, target, looking_for):
    models = many._screener.manifest.models
    setting = Setting(target, looking_for=looking_for)
    given = [image(n, f"{n}.jpg", n / 40, leading="bcc" if n % 2 else "nv") for n in range(41)]
    for row in saved(many, {"images": given}, setting):
        for key in BOTH:
            probability = float(row[f"{key}_probability"])
            threshold = choose(models[key].target(looking_for).operating_table, target).threshold
            assert float(row[f"{key}_threshold"]) == pytest.approx(threshold)
            decision = "refer" if probability >= threshold else "no referral"
            assert row[f"{key}_decision"] == decision


@pytest.mark.parametrize("sort", many_table.SORTS)
@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("setting", [Setting(), Setting(0.8, looking_for="skin_cancer")])
def test_the_csv_file_holds_what_the_table_shows(many, sort, backwards, setting):
    sent = {"images": IMAGES, "sort": sort, "backwards": backwards}
    table, rows = rows_of(many.draw(sent, "en", setting)), saved(many, sent, setting)
    assert len(table) == len(rows) == len(IMAGES)
    verdicts = {
        "refer": T("verdict_refer"),
        "no referral": T("verdict_no_referral"),
        "disagree": T("many_disagree_one"),
    }
    for shown, row in zip(table, rows, strict=True):
        assert shown[0] == row["image"]
        if row["error"]:
            assert shown[1:] == [T("many_problem_one"), row["error"]]
        elif row["refused"] == "true":
            assert shown[1] == T("many_refused_one")
            assert not row["decision"] + row["teacher_probability"]
        else:
            quiet = row["decision"] == "no referral" and row["other_cancer"]
            said = T("many_other_cancer_one") if quiet else verdicts[row["decision"]]
            assert shown[1] == said
            for cell, key in zip(shown[2:4], BOTH, strict=True):
                assert cell.startswith(T.percent(float(row[f"{key}_probability"])))
                assert (T("close_call") in cell) == (row[f"{key}_close_call"] == "true")
            leading = {key: T(f"dx_{row[f'{key}_leading_diagnosis']}") for key in BOTH}
            each = " ".join(f"{T(f'role_{key}')}: {leading[key]}" for key in BOTH)
            assert shown[4] == (each if len(set(leading.values())) > 1 else leading["teacher"])
            assert shown[5] == " ".join(T(f"short_{code}") for code in row["findings"].split())


def test_by_a_probability_the_highest_is_first_and_what_has_none_is_last(many):
    for backwards, first in ((False, "sure.jpg"), (True, "apart.jpg")):
        sent = {"images": IMAGES, "sort": "teacher", "backwards": backwards}
        rows = saved(many, sent)
        assert {row["image"] for row in rows[-2:]} == {"cat.jpg", "broken.jpg"}
        values = [float(row["teacher_probability"]) for row in rows[:-2]]
        assert values == sorted(values, reverse=not backwards)
        assert first in {row["image"] for row in rows[: 1 + backwards]}


def test_a_spreadsheet_takes_no_name_for_a_formula(many):
    (row,) = saved(many, {"images": [image(1, "=cmd|' !A0'.jpg")]})
    assert row["image"] == "'=cmd|' !A0'.jpg"


@pytest.mark.parametrize(
    "sent",
    [
        None,
        "",
        [],
        {"images": [{"id": 1}]},
        {"images": [image(1, "a", 2.0)]},
        {"images": [image(1, "a", float("nan"))]},
        {"images": [image(1, "a") | {"probabilities": {"teacher": shares(0.5)}}]},
        {"images": [image(1, "a")], "sort": "nothing"},
        {"images": [image(n, "a") for n in range(LIMIT + 1)]},
    ],
)
def test_what_makes_no_sense_is_no_table(many, sent):
    assert many.draw(sent, "en", Setting()) == ""
    assert saved(many, sent) == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_tab_is_written_in_each_language(many, language):
    t = Texts(language)
    assert t("many_drop") in unescape(many.welcome(t))
    assert t("many_disagree_one") in unescape(many.draw({"images": IMAGES}, language, Setting()))


def test_every_finding_has_a_short_name():
    codes = {key.removeprefix("finding_") for key in catalogue("de") if key.startswith("finding_")}
    assert set(OF_FILES) < codes
    assert {f"short_{code}" for code in codes - {"not_dermoscopy"}} <= catalogue("en").keys()


def judged(many, data):
    return asyncio.run(many.judge(data))


def picture(colour, size=(1200, 900)):
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, "PNG")
    return file.getvalue()


def test_one_image_is_judged_as_by_itself_and_shown_small(many):
    answer = judged(many, picture((90, 40, 30)))
    alone = case.judge(many._screener, picture((90, 40, 30))).screening
    for key in BOTH:
        assert answer["probabilities"][key] == alone.predictions[key].probabilities
    start, _, content = answer["thumbnail"].partition(",")
    assert start == "data:image/webp;base64"
    assert max(Image.open(io.BytesIO(base64.b64decode(content))).size) <= 112
    assert len(content) < 8000
    named = {key: value for key, value in answer.items() if key != "thumbnail"}
    assert saved(many, {"images": [named | {"id": 1, "name": "x"}]})


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", "EmptyFileError"),
        (b"not an image", "NotAnImageError"),
        (picture((1, 2, 3))[:80], "TruncatedImageError"),
        (None, "ImageTooLargeError"),
    ],
)
def test_a_bad_file_is_an_answer_in_the_readers_language(many, monkeypatch, data, kind):
    def without_memory(*given):
        raise MemoryError

    if data is None:
        monkeypatch.setattr(many._screener, "screen", without_memory)
    answer = judged(many, picture((1, 2, 3)) if data is None else data)
    assert answer.pop("thumbnail") == ""
    sent = {"images": [answer | {"id": 1, "name": "x"}]}
    assert rows_of(many.draw(sent, "en", Setting()))[0][2] == answer["error"]
    for language in ("de", "es"):
        said = rows_of(many.draw(sent, language, Setting()))[0][2]
        assert said == Texts(language)(f"error_{kind}")
    assert saved(many, sent)[0]["error"] == answer["error"]


@pytest.mark.parametrize(("given", "found"), [("", LIMIT), ("12", 12)])
def test_the_limit_is_a_setting(monkeypatch, tiny_screener, given, found):
    monkeypatch.setenv("MEL_MAX_IMAGES", given)
    many = Many(tiny_screener)
    assert many.limit == found
    assert f"Up to {found} " in many.welcome(T)


@pytest.mark.parametrize("given", ["0", "many", "-3", "1e3", "99999"])
def test_a_wild_limit_is_refused_by_name(monkeypatch, tiny_screener, given):
    monkeypatch.setenv("MEL_MAX_IMAGES", given)
    with pytest.raises(SettingError, match=f"MEL_MAX_IMAGES is '{given}'.*from 1 to"):
        Many(tiny_screener)
