"""The report: its numbers are scikit-learn's, its mistakes the right images, its holdout unread."""

import csv
import html
import json
import re
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import (
    average_precision_score,
    balanced_accuracy_score,
    brier_score_loss,
    confusion_matrix,
    roc_auc_score,
)
from typer.testing import CliRunner

from mel_demo.decision.operating_point import choose
from mel_demo.images import normalise, open_image, prepare
from mel_demo.manifest import CLASS_NAMES, load_manifest
from tests.support.tiny_export import export_tiny
from training.__main__ import app
from training.errors import DataError, RunError, TrainingError
from training.learn.run_folder import load_run
from training.measure.evaluate import Scored
from training.provenance import sha256
from training.report.gather import gather
from training.report.page import write_report
from training.report.sections import sections
from training.words import DIAGNOSES

RUNNER = CliRunner()
FIGURES = {
    "Data": ["classes-images", "classes-lesions"],
    "Training": [
        "history-roc-auc",
        "history-train-loss",
        "history-validation-cross-entropy",
        "history-learning-rate",
    ],
    "Finding melanomas": ["roc", "precision-recall", "scatter"],
    "Probabilities": ["reliability", "histogram-teacher", "histogram-student"],
    "Seven classes": ["confusion-teacher", "confusion-student"],
}
ALL_FIGURES = [name for names in FIGURES.values() for name in names]
BOTH = ("teacher", "student")


@dataclass(frozen=True)
class Truth:
    """A split as the runs judge it, computed here from the image files: float64 (N, 7) a role."""

    image_ids: np.ndarray
    labels: np.ndarray
    probabilities: dict[str, np.ndarray]

    @property
    def melanoma(self) -> np.ndarray:
        return self.labels == CLASS_NAMES.index("mel")

    def of_melanoma(self, role: str) -> np.ndarray:
        return self.probabilities[role][:, CLASS_NAMES.index("mel")]


def read_rows(splits: Path, split: str) -> list[dict[str, str]]:
    with splits.open() as file:
        return [row for row in csv.DictReader(file) if row["split"] == split]


def judge(tiny, split: str) -> Truth:
    rows = read_rows(tiny.splits, split)
    paths = {path.stem: path for path in tiny.data.rglob("*.jpg")}
    probabilities = {}
    for role in BOTH:
        network, record = load_run(getattr(tiny, role))
        pixels = [prepare(open_image(paths[r["image_id"]]), record.preprocessing) for r in rows]
        with torch.inference_mode():
            logits = network(torch.from_numpy(normalise(np.stack(pixels), record.preprocessing)))
        temperature = load_manifest(export_tiny(tiny)).models[role].temperature
        probabilities[role] = torch.softmax(logits.double() / temperature, 1).numpy()
    return Truth(
        np.array([row["image_id"] for row in rows]),
        np.array([CLASS_NAMES.index(row["dx"]) for row in rows]),
        probabilities,
    )


def threshold(truth: Truth, role: str) -> float:
    """The largest that catches 95 % of the melanomas."""
    caught = np.sort(truth.of_melanoma(role)[truth.melanoma])[::-1]
    return caught[int(np.ceil(0.95 * len(caught))) - 1]


def runs_of(tiny) -> dict[str, Path]:
    return {role: getattr(tiny, role) for role in BOTH}


@pytest.fixture(scope="module")
def truth(tiny_training):
    return judge(tiny_training, "validation")


@pytest.fixture(scope="module")
def written(tiny_training, tmp_path_factory) -> Path:
    """The page of both runs, with images, as the command writes it."""
    output = tmp_path_factory.mktemp("report") / "report.md"
    done = RUNNER.invoke(
        app,
        [
            "report", "--data", str(tiny_training.data), "--splits", str(tiny_training.splits),
            "--teacher", str(tiny_training.teacher), "--student", str(tiny_training.student),
            "--worst", "4", "--images", "--output", str(output),
        ],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "Holdout" not in done.output
    return output


@pytest.fixture(scope="module")
def page(written) -> str:
    return written.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def drawn(written, page) -> dict[str, tuple[ElementTree.Element, str]]:
    return figures(written, page)


@pytest.fixture
def write(tiny_training, tmp_path):
    """Write a page and return its text; options replace those of both runs."""

    def write_page(name: str = "report.md", **options) -> str:
        given = {
            "given": tiny_training.given,
            "runs": runs_of(tiny_training),
        }
        write_report(tmp_path / name, **given | options)
        return (tmp_path / name).read_text(encoding="utf-8")

    return write_page


def section(page: str, title: str) -> str:
    return page.split(f"\n## {title}\n")[1].split("\n## ")[0]


def words(fragment: str) -> str:
    """A fragment's text without marks of tables, emphasis and HTML, its white space single."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>|\||\*\*|`", " ", fragment)).split())


def figures(path: Path, page: str) -> dict[str, tuple[ElementTree.Element, str]]:
    """Each figure's drawing, which lies beside the page, and caption."""
    found = re.findall(r'<img src="([^"]+)" width="460" alt="[^"]+">\n\n(.+)', page)
    return {
        Path(source).stem: (ElementTree.parse(path.parent / source).getroot(), words(caption))
        for source, caption in found
    }


def texts(svg: ElementTree.Element) -> list[str]:
    return [element.text for element in svg.iter("{http://www.w3.org/2000/svg}text")]


def worst_ids(page: str) -> list[list[str]]:
    """Image ids of the four lists: missed and alarmed by the teacher, then by the student."""
    lists = section(page, "Worst mistakes").split("| image | diagnosis |")[1:]
    return [re.findall(r"^\|.*?(ISIC_\d+) \|", one, re.MULTILINE) for one in lists]


def test_every_section_has_its_figures_and_every_figure_its_words(page, drawn):
    for title, names in FIGURES.items():
        own = re.findall(r'<img src="report/([^"]+)\.svg"', section(page, title))
        assert own == names
    for title in ("Results", *FIGURES, "Worst mistakes", "Origin"):
        assert f"\n## {title}\n" in page
    assert sorted(drawn) == sorted(ALL_FIGURES)
    for svg, caption in drawn.values():
        assert len(svg.get("aria-label")) > 20
        assert len(caption) > 15


def test_the_table_is_scikit_learns(page, drawn, truth):
    table = words(section(page, "Results"))
    for name, metric in (
        ("ROC-AUC, melanoma against the rest", roc_auc_score),
        ("Average precision", average_precision_score),
        ("Brier score of the melanoma probability", brier_score_loss),
    ):
        values = [f"{metric(truth.melanoma, truth.of_melanoma(role)):.3f}" for role in BOTH]
        assert re.search(rf"{name} {values[0]} \(\S+ to \S+\) {values[1]} \(", table)
    rates = {"Sensitivity": [], "Specificity": []}
    for role in BOTH:
        refer = truth.of_melanoma(role) >= threshold(truth, role)
        tn, fp, fn, tp = confusion_matrix(truth.melanoma, refer).ravel()
        rates["Sensitivity"].append(f"{100 * tp / (tp + fn):.1f} %")
        rates["Specificity"].append(f"{100 * tn / (tn + fp):.1f} %")
        caption = drawn[f"histogram-{role}"][1]
        assert f"{tp} of {tp + fn} melanomas and {fp} of {fp + tn} others" in caption
    for name, (teacher, student) in rates.items():
        assert re.search(rf"{name} at the 95 % setting {teacher} \([^)]*\) {student} \(", table)


def test_seven_diagnoses_and_any_skin_cancer_are_results_of_their_own(page, truth):
    results = section(page, "Results")
    diagnoses, cancer = (
        words(results.split(f"### {title}")[1].split("###")[0])
        for title in ("The seven diagnoses", "Any skin cancer")
    )
    right = [
        f"{100 * balanced_accuracy_score(truth.labels, truth.probabilities[role].argmax(1)):.1f} %"
        for role in BOTH
    ]
    assert re.search(rf"Balanced accuracy {right[0]} \(\S+ to \S+\) {right[1]} \(", diagnoses)
    for index, name in enumerate(CLASS_NAMES):
        of_class = [truth.probabilities[role][:, index] for role in BOTH]
        areas = [f"{roc_auc_score(truth.labels == index, found):.3f}" for found in of_class]
        line = rf"ROC-AUC, {re.escape(DIAGNOSES[name])} {areas[0]} \(\S+ to \S+\) {areas[1]} \("
        assert re.search(line, diagnoses)
    positive = np.isin(truth.labels, [0, 1, 4])
    summed = [truth.probabilities[role][:, [0, 1, 4]].sum(1) for role in BOTH]
    areas = [f"{roc_auc_score(positive, found):.3f}" for found in summed]
    line = rf"ROC-AUC, skin cancer against the rest {areas[0]} \(\S+ to \S+\) {areas[1]} \("
    assert re.search(line, cancer)
    caught = np.sort(summed[0][positive])[::-1]
    at = caught[int(np.ceil(0.8 * len(caught))) - 1]
    shares = [(summed[0][positive] >= at).mean(), (summed[0][~positive] < at).mean()]
    first, second = (f"{100 * share:.1f} %" for share in shares)
    assert re.search(rf"80 % {first} \([^)]*\), {second} \(", cancer)


def test_the_figures_say_what_scikit_learn_says(drawn, truth):
    found = drawn
    for role in BOTH:
        p = truth.of_melanoma(role)
        area, average = roc_auc_score(truth.melanoma, p), average_precision_score(truth.melanoma, p)
        assert f"{role}, area {area:.3f}" in texts(found["roc"][0])
        assert f"{role}, average {average:.3f}" in texts(found["precision-recall"][0])
        matrix = confusion_matrix(
            truth.labels, truth.probabilities[role].argmax(1), labels=range(7)
        )
        counts = [int(text) for text in texts(found[f"confusion-{role}"][0]) if text.isdigit()]
        assert counts == [count for count in matrix.ravel() if count]
    used = list(found["scatter"][0].iter("{http://www.w3.org/2000/svg}use"))
    assert len(used) > len(truth.labels)


def test_classes_are_counted_over_images_and_lesions(page, tiny_training):
    table = words(section(page, "Data"))
    rows = {split: read_rows(tiny_training.splits, split) for split in ("train", "validation")}
    rows["holdout"] = read_rows(tiny_training.splits, "holdout")
    for dx in CLASS_NAMES:
        cells = [
            f"{len(of)} / {len({row['lesion_id'] for row in of})}"
            for of in ([row for row in part if row["dx"] == dx] for part in rows.values())
        ]
        assert f"{dx} {' '.join(cells)}" in table


def test_curves_are_those_of_the_metrics_files(drawn, tiny_training):
    caption = drawn["history-roc-auc"][1]
    for role, folder in runs_of(tiny_training).items():
        with (folder / "metrics.csv").open() as file:
            values = [float(row["validation_roc_auc"]) for row in csv.DictReader(file)]
        best = int(np.argmax(values))
        assert f"{role} {values[best]:.3f} in epoch {best + 1} of 2" in caption


def test_the_worst_mistakes_are_the_right_images_in_order(page, truth):
    wanted = []
    for role in BOTH:
        p = truth.of_melanoma(role)
        missed = sorted(np.flatnonzero(truth.melanoma), key=lambda row: p[row])[:4]
        alarmed = sorted(np.flatnonzero(~truth.melanoma), key=lambda row: -p[row])[:4]
        wanted += [[truth.image_ids[row] for row in rows] for rows in (missed, alarmed)]
    assert worst_ids(page) == wanted
    first = next(line for line in page.splitlines() if f"{wanted[0][0]} |" in line)
    said = dict(zip(BOTH, first.strip("| ").split(" | ")[2:], strict=True))
    row = list(truth.image_ids).index(wanted[0][0])
    assert words(first).startswith(f"{wanted[0][0]} melanoma ")
    for role in BOTH:
        p = truth.of_melanoma(role)[row]
        shown = f"{100 * p:.{2 if p < 0.01 else 1}f} %"
        assert said[role] == (f"**{shown}**" if p >= threshold(truth, role) else shown)


def test_thumbnails_are_the_views_the_models_saw_and_the_page_says_whose(written, page):
    pictures = re.findall(r'<img src="(report/ISIC_\d+\.jpg)" width="120"', page)
    assert len(pictures) == sum(map(len, worst_ids(page))) > 8
    assert {Image.open(written.parent / name).size for name in pictures} == {(64, 64)}
    assert "publish neither" in page
    assert "CC BY-NC 4.0" in page


def test_no_image_stands_in_a_page_without_images(write, page, tmp_path):
    text = write(count=4)
    assert not re.search(r"\.jpg|\.png", text)
    assert not list(tmp_path.rglob("*.jpg"))
    assert "publish neither" not in text
    assert "The images themselves are not shown" in text
    shown = re.findall(r"ISIC_\d+", text)
    assert shown == [image_id for one in worst_ids(page) for image_id in one], "only their names"


def test_the_page_links_to_its_folder_alone_and_tells_no_path_of_this_machine(page, tiny_training):
    sources = re.findall(r'src="([^"]+)"', page)
    assert {source.split("/")[0] for source in sources} == {"report"}
    assert str(tiny_training.root) not in page


def test_where_the_page_comes_from(page, tiny_training):
    origin = words(section(page, "Origin"))
    assert re.search(r"Git commit (\w{40}(-dirty)?|unknown) ", origin)
    assert re.search(r"Command python \S+", origin)
    assert f"splits.csv, SHA-256 {sha256(tiny_training.splits)}" in origin
    for role, folder in runs_of(tiny_training).items():
        record = json.loads((folder / "run.json").read_text())
        assert f"Run {role} Architecture {record['architecture']} Recipe {role}.yaml" in origin
        assert f"Trained at commit {record['git_commit']} " in origin
    assert "learning_rate: 0.005" in origin
    assert "temperature: 1.0 alpha: 0.5" in origin


def test_holdout_is_not_read_unless_asked_for(write, tiny_training, page, tmp_path):
    data = shutil.copytree(tiny_training.data, tmp_path / "ham")
    held = [row["image_id"] for row in read_rows(tiny_training.splits, "holdout")]
    for image_id in held:
        (path,) = data.rglob(f"{image_id}.jpg")
        path.unlink()
    without = write(given=replace(tiny_training.given, data=data), count=4)
    assert worst_ids(without) == worst_ids(page)
    assert not set(re.findall(r"ISIC_\d+", without)) & set(held)
    with pytest.raises(DataError, match="holdout images are not in"):
        write("holdout.md", given=replace(tiny_training.given, data=data), split="holdout")


def test_holdout_is_judged_by_the_thresholds_of_validation(tiny_training, truth, tmp_path):
    output = tmp_path / "holdout.md"
    done = RUNNER.invoke(
        app,
        [
            "report", "--data", str(tiny_training.data), "--splits", str(tiny_training.splits),
            "--teacher", str(tiny_training.teacher), "--holdout", "--output", str(output),
        ],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "look at them once per released model" in " ".join(done.output.split())
    text = output.read_text(encoding="utf-8")
    assert text.startswith("# Teacher on holdout\n")
    assert "> **Holdout.** Measured on images kept aside: look at them once" in text
    assert "chosen on these very images" not in text
    assert f"| Threshold | {threshold(truth, 'teacher'):.6f} |" in text
    held = judge(tiny_training, "holdout")
    area = roc_auc_score(held.melanoma, held.of_melanoma("teacher"))
    assert f"| ROC-AUC, melanoma against the rest | {area:.3f} (" in text


def test_one_run_alone_is_not_compared(write, tiny_training):
    text = write(runs={"student": tiny_training.student})
    assert text.startswith("# Student on validation\n")
    assert not re.search(r"teacher|agreement", text.split("## Origin")[0], re.IGNORECASE)
    assert len(worst_ids(text)) == 2


def test_markdown_has_its_figures_beside_it_and_whole_tables(write, tmp_path):
    text = write("report.md")
    sources = re.findall(r'<img src="([^"]+)" width="460" alt="[^"]{20,}">', text)
    assert sources == [f"report/{name}.svg" for name in ALL_FIGURES]
    assert sorted(path.name for path in (tmp_path / "report").iterdir()) == sorted(
        Path(source).name for source in sources
    )
    for source in sources:
        ElementTree.parse(tmp_path / source)
    for table in re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE):
        lines = table.splitlines()
        assert set(lines[1]) <= set("|- ")
        assert len({line.count("|") for line in lines}) == 1
    assert "\n\n\n" not in text


@pytest.fixture(scope="module")
def weights(tiny_training) -> Path:
    return export_tiny(tiny_training)


def test_released_files_are_reported_with_and_without_their_runs(
    write, weights, tiny_training, truth, tmp_path
):
    alone = write(runs={}, weights=weights)
    assert "Training curves need the runs" in words(alone)
    assert "## Training" not in alone
    origin = words(section(alone, "Origin"))
    drawn = figures(tmp_path / "report.md", alone)
    for role, spec in load_manifest(weights).models.items():
        area = roc_auc_score(truth.melanoma, truth.of_melanoma(role))
        assert f"{role}, area {area:.3f}" in texts(drawn["roc"][0])
        assert f"{role}.onnx" in origin
        assert spec.sha256 in origin
        assert f"Threshold {choose(spec.operating_table, 0.95).threshold:.6f}" in origin
    both = write(weights=weights)
    assert list(figures(tmp_path / "report.md", both)) == ALL_FIGURES
    assert "Training curves need" not in both
    assert "learning_rate: 0.005" in both


def test_curves_of_another_run_do_not_stand_beside_released_files(
    write, weights, tiny_training, tmp_path
):
    other = shutil.copytree(tiny_training.student, tmp_path / "other")
    record = json.loads((other / "run.json").read_text())
    (other / "run.json").write_text(json.dumps(record | {"seed": 8}))
    with pytest.raises(RunError, match=r"its seed is 8, the manifest says 7\. Give that run"):
        write(runs={"student": other}, weights=weights)


def test_a_temperature_is_shown_with_what_was_before(tiny_training):
    runs = runs_of(tiny_training)
    found = gather(runs, None, tiny_training.given, "validation")
    (plain,) = (x for part in sections(found) for x in part.panels if x.name == "reliability")
    fitted = {key: f"{model.scores.temperature:.3f}" for key, model in found.scored.items()}
    assert (
        f"before the temperature, teacher {fitted['teacher']} and student {fitted['student']}"
        in plain.caption
    )

    def at(key: str, temperature: float) -> Scored:
        model = found.scored[key]
        return replace(model, scores=replace(model.scores, temperature=temperature))

    none = replace(found, scored={key: at(key, 1.0) for key in BOTH})
    (panel,) = (x for part in sections(none) for x in part.panels if x.name == "reliability")
    assert "No temperature was applied" in panel.caption
    found = replace(found, scored={"teacher": at("teacher", 1.0), "student": at("student", 2.5)})
    (panel,) = (x for part in sections(found) for x in part.panels if x.name == "reliability")
    assert "before the temperature, student 2.500" in panel.caption
    labels = [text.get_text() for text in panel.figure.axes[0].get_legend().get_texts()]
    assert sorted(labels) == ["student", "student, before", "teacher"]


def _no_metrics(run: Path) -> None:
    (run / "metrics.csv").unlink()


def _no_loss(run: Path) -> None:
    path = run / "metrics.csv"
    path.write_text(path.read_text().replace("train_loss", "loss"))


def _half_a_line(run: Path) -> None:
    path = run / "metrics.csv"
    path.write_text(path.read_text()[:-30])


def _no_record(run: Path) -> None:
    (run / "run.json").unlink()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_no_record, "is no run folder: it has no run.json"),
        (_no_metrics, "has no metrics.csv yet"),
        (_no_loss, "metrics.csv lacks the column.s. train_loss"),
        (_half_a_line, "metrics.csv, line 3: .* is "),
    ],
)
def test_a_folder_that_is_no_whole_run(write, tiny_training, tmp_path, damage, message):
    run = shutil.copytree(tiny_training.student, tmp_path / "run")
    damage(run)
    with pytest.raises(RunError, match=message):
        write(runs={"student": run})
    assert not (tmp_path / "report.md").exists()


def test_what_cannot_be_reported_is_refused_with_the_way_out(write, tiny_training, tmp_path):
    other = tmp_path / "splits.csv"
    other.write_bytes(tiny_training.splits.read_bytes() + b"\n")
    for options, error, message in (
        (
            {"given": replace(tiny_training.given, splits=other)},
            DataError,
            "is not the splits file that the run",
        ),
        (
            {"given": replace(tiny_training.given, splits=tmp_path / "absent.csv")},
            DataError,
            "There is no splits file",
        ),
        ({"runs": {"teacher": tiny_training.student}}, RunError, "give it as --student"),
        ({"runs": {}}, TrainingError, "give --teacher, --student or --weights"),
        ({"name": "report.html"}, TrainingError, r"ends in '\.html'.*\.md"),
        ({"count": 0}, TrainingError, "give 1 or more"),
        ({"split": "train"}, DataError, "Split 'train' cannot be measured"),
    ):
        with pytest.raises(error, match=message):
            write(**options)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["splits.csv"]
