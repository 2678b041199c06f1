"""What a run was started with: compared in words when it goes on, and never written over."""

import errno
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mel_demo.manifest import CLASS_NAMES, MELANOMA
from tests.support.tiny_training import TinyTraining
from training.data.ham10000 import find_images
from training.data.masks import MASKS
from training.data.splits import read_splits, write_splits
from training.errors import DataError, RecipeError, RunError
from training.files import held
from training.learn import run_folder
from training.learn.networks import build, has_one_size
from training.learn.run_folder import ANSWERS, INPUTS, RECIPE, claim, load_run
from training.learn.session import refuse_unfit, train_session
from training.recipe import load_recipe


def resume(tiny: TinyTraining, role: str, output: Path, **changed):
    """``--resume``, in this process, with something changed."""
    given = {
        "recipe_name": f"{role}.yaml",
        "data": tiny.data,
        "splits": tiny.splits,
        "cache": tiny.root / "cache",
        "init": None,
        "teachers": [tiny.teacher] if role == "student" else [],
        "output": output,
        "resume": True,
    } | changed
    values = given.pop("values", {})
    return train_session(load_recipe(tiny.root / f"{role}.yaml", **values), **given)


@pytest.fixture
def student(tiny_training, tmp_path):
    return shutil.copytree(tiny_training.student, tmp_path / "student")


def swapped(splits: Path, path: Path) -> Path:
    """The splits with one training lesion and one holdout lesion of a class exchanged."""
    rows = read_splits(splits)
    one, other = (
        next(row.lesion_id for row in rows if row.dx == "nv" and row.split == split)
        for split in ("train", "holdout")
    )
    new = {one: "holdout", other: "train"}
    write_splits([replace(row, split=new.get(row.lesion_id, row.split)) for row in rows], path)
    return path


def test_other_splits_are_refused_and_the_recorded_hash_stays(tiny_training, tmp_path):
    run = shutil.copytree(tiny_training.teacher, tmp_path / "run")
    before = {name: (run / name).read_bytes() for name in (INPUTS, "run.json", "recipe.json")}
    other = swapped(tiny_training.splits, tmp_path / "splits.csv")
    with pytest.raises(RunError, match=r"other files: the splits, whose .* \(\w{12} then, \w{12} "):
        resume(tiny_training, "teacher", run, splits=other)
    assert {name: (run / name).read_bytes() for name in before} == before


def test_another_teacher_is_refused(tiny_training, student, tmp_path):
    teacher = shutil.copytree(tiny_training.teacher, tmp_path / "teacher")
    weights = bytearray((teacher / "best.safetensors").read_bytes())
    weights[-1] ^= 1
    (teacher / "best.safetensors").write_bytes(weights)
    for teachers in ([teacher], [tiny_training.teacher, teacher], []):
        with pytest.raises(RunError, match="other files: the teachers"):
            resume(tiny_training, "student", student, teachers=teachers)


def test_changed_pictures_are_refused(tiny_training, tmp_path):
    run = shutil.copytree(tiny_training.teacher, tmp_path / "run")
    data = shutil.copytree(tiny_training.data, tmp_path / "ham")
    Image.new("RGB", (64, 48)).save(next(iter(find_images(data).values())))
    with pytest.raises(RunError, match="other files: the pictures of HAM10000"):
        resume(tiny_training, "teacher", run, data=data, cache=tmp_path / "cache")


def test_the_same_files_elsewhere_are_the_same(tiny_training, student, tmp_path):
    data = shutil.copytree(tiny_training.data, tmp_path / "ham", copy_function=shutil.copyfile)
    splits = shutil.copyfile(tiny_training.splits, tmp_path / "again.csv")
    given = {"data": data, "splits": splits, "cache": tmp_path / "cache"}
    assert resume(tiny_training, "student", student, **given).epochs == 2


def test_another_recipe_is_refused_even_where_a_key_is_gone(tiny_training, student):
    with pytest.raises(RunError, match=r"another recipe \(epochs differ\)"):
        resume(tiny_training, "student", student, values={"epochs": 3})
    path = student / "recipe.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"label_smoothing": 0.1}))
    with pytest.raises(RunError, match=r"another recipe \(label_smoothing differ\)"):
        resume(tiny_training, "student", student)


def test_a_run_from_before_inputs_were_kept_is_compared_by_its_record(tiny_training, tmp_path):
    run = shutil.copytree(tiny_training.teacher, tmp_path / "run")
    (run / INPUTS).unlink()
    other = swapped(tiny_training.splits, tmp_path / "splits.csv")
    with pytest.raises(RunError, match="other files: the splits"):
        resume(tiny_training, "teacher", run, splits=other)
    resume(tiny_training, "teacher", run)
    assert (run / INPUTS).read_bytes() == (tiny_training.teacher / INPUTS).read_bytes()


def test_answers_of_other_teachers_are_not_taken_by_a_new_start(tiny_training, tmp_path):
    recipe = load_recipe(tiny_training.root / "student.yaml")
    inputs = {"splits": "s", "teachers": ["a"], "external": None, "data": {}}
    claim(tmp_path, recipe, inputs, resume=False)
    for teachers, kept in ((["a"], True), (["b"], False)):
        (tmp_path / ANSWERS).write_bytes(b"answers")
        claim(tmp_path, recipe, inputs | {"teachers": teachers}, resume=False)
        assert (tmp_path / ANSWERS).is_file() == kept


@pytest.mark.parametrize("name", ["run.json", "inputs.json", "recipe.json", "best.safetensors"])
@pytest.mark.parametrize("share", [0.0, 0.6])
def test_a_truncated_file_of_a_run_is_named(tiny_training, student, name, share):
    content = (student / name).read_bytes()
    (student / name).write_bytes(content[: int(share * len(content))])

    def read():
        if name == "best.safetensors":
            load_run(student)
        resume(tiny_training, "student", student)

    with pytest.raises(RunError, match=rf"{name} is damaged"):
        read()


def test_a_truncated_state_is_named(tiny_training, student):
    states = sorted(path for path in (student / "states" / "2-0").rglob("*") if path.is_file())
    assert len(states) > 3
    for path in states:
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 3])
        with pytest.raises(RunError, match="2-0 is damaged"):
            resume(tiny_training, "student", student)
        path.write_bytes(content)


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        RuntimeError("PytorchStreamWriter failed writing file data/0: file write failed"),
    ],
)
def test_a_full_disk_while_training_is_a_sentence(tiny_training, tmp_path, monkeypatch, error):
    def save_state(self, folder, **options):
        raise error

    monkeypatch.setattr("accelerate.Accelerator.save_state", save_state)
    with pytest.raises(RunError, match=r"cannot be written .*make room and go on with --resume"):
        resume(tiny_training, "teacher", tmp_path / "run", resume=False)
    assert not run_folder.can_resume(tmp_path / "run")


@pytest.mark.parametrize(
    ("training", "validation", "message"),
    [
        (range(6), (MELANOMA, 0), "No training image shows vasc"),
        ([0, 1, 2, 3, 5, 6, 7], (MELANOMA, 0), "No training image shows mel"),
        (range(7), (0, 1, 5), "0 of 3 validation images are melanomas"),
        (range(7), (MELANOMA, MELANOMA), "2 of 2 validation images are melanomas"),
    ],
)
def test_labels_that_cannot_be_learned_or_measured_are_refused(training, validation, message):
    with pytest.raises(DataError, match=message):
        refuse_unfit(np.array(training), np.array(validation))
    refuse_unfit(np.arange(len(CLASS_NAMES)), np.array([0, MELANOMA]))


def test_it_is_said_before_training(tiny_training, tmp_path):
    rows = read_splits(tiny_training.splits)
    path = tmp_path / "splits.csv"
    moved = [
        replace(row, split="train") if (row.dx, row.split) == ("mel", "validation") else row
        for row in rows
    ]
    write_splits(moved, path)
    with pytest.raises(DataError, match=r"0 of \d+ validation images are melanomas"):
        resume(tiny_training, "teacher", tmp_path / "run", splits=path, resume=False)
    assert not (tmp_path / "run").exists()


def test_half_precision_without_a_gpu_is_refused(tiny_training, tmp_path):
    if torch.cuda.is_available():
        pytest.skip("has a GPU")
    values = {"mixed_precision": "fp16"}
    with pytest.raises(RecipeError, match=r"mixed_precision fp16 cannot be had here"):
        resume(tiny_training, "teacher", tmp_path / "run", values=values, resume=False)


def test_what_cannot_be_exported_is_said_before_training(tiny_training, tmp_path, capsys):
    values = {"architecture": "vit_tiny_patch16_224", "epochs": 1}
    given = {"splits": tmp_path / "none.csv", "resume": False}
    with pytest.raises(DataError, match=r"no splits file .*none\.csv"):
        resume(tiny_training, "teacher", tmp_path / "run", values=values, **given)
    said = " ".join(capsys.readouterr().out.split())
    assert "vit_tiny_patch16_224 can be trained and teach, but not be exported" in said
    assert "EfficientNet, MobileNetV3" in said
    # What the recipe itself needs the map for cannot even be trained.
    values["lesion_weight"] = 0.25
    with pytest.raises(RecipeError, match="--set lesion_weight=0"):
        resume(tiny_training, "teacher", tmp_path / "run", values=values, **given)


def test_masks_that_are_absent_are_named_with_the_way_out(tiny_training, tmp_path):
    data = shutil.copytree(tiny_training.data, tmp_path / "ham")
    shutil.rmtree(data / MASKS, ignore_errors=True)
    given = {"data": data, "values": {"lesion_weight": 0.25}, "resume": False}
    with pytest.raises(DataError, match=rf"no folder .*{MASKS}: .*--set lesion_weight=0"):
        resume(tiny_training, "teacher", tmp_path / "run", **given)


def test_weights_without_a_run_to_go_on_with_are_not_written_over(tiny_training, tmp_path):
    """As `training restore` and `average` leave them, or whoever removed the states."""
    for name, absent in (("restored", (RECIPE, "states")), ("without states", ("states",))):
        run = shutil.copytree(tiny_training.teacher, tmp_path / name)
        for part in absent:
            (run / part).unlink() if part == RECIPE else shutil.rmtree(run / part)
        before = (run / "best.safetensors").read_bytes()
        with pytest.raises(RunError, match=r"holds weights, which would be lost: .*--init"):
            resume(tiny_training, "teacher", run, resume=False)
        assert (run / "best.safetensors").read_bytes() == before
    (tmp_path / "file").write_text("mine")
    with pytest.raises(RunError, match="is a file: give --output a folder"):
        resume(tiny_training, "teacher", tmp_path / "file", resume=False)


def test_a_folder_that_another_process_trains_into_is_refused(tiny_training, tmp_path):
    run = tmp_path / "run"
    with held(run), pytest.raises(RunError, match="Another process trains into"):
        resume(tiny_training, "teacher", run, resume=False)
    assert [path.name for path in run.iterdir()] == ["training.lock"]
    resume(tiny_training, "teacher", run, resume=False)


@pytest.mark.parametrize("architecture", ["efficientnet_b0.nobody_in1k", "nonet_b0.ra_in1k"])
def test_an_unknown_tag_or_name_of_timm_is_refused(architecture):
    for ask in (build, has_one_size):
        with pytest.raises(RecipeError, match=r"has no (weights 'nobody_in1k'.*ra_in1k|architec)"):
            ask(architecture)
    assert not has_one_size("efficientnet_b0.ra_in1k")
