"""The data set from the Hub, with the Hub's client replaced at its boundary."""

import io

import pyarrow
import pyarrow.parquet
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from tests.support.lesions import draw_lesion, write_ham10000
from training.data import download as downloading
from training.data.ham10000 import check
from training.errors import DataError
from training.recipe import RECIPES, Source, load_recipe

SOURCE = Source(repository="somebody/skin", revision="0123456789abcdef")


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A folder standing in for what the client fetches, and the calls made to it."""
    folder, calls = tmp_path / "fetched", []
    folder.mkdir()

    def snapshot_download(repository, **options):
        calls.append((repository, options))
        return str(folder)

    monkeypatch.setattr(downloading, "snapshot_download", snapshot_download)
    return folder, calls


def table(ids: list[str]) -> pyarrow.Table:
    rows = []
    for number, image_id in enumerate(ids):
        file = io.BytesIO()
        draw_lesion("mel", seed=number, size=(32, 24)).save(file, "JPEG")
        rows.append(
            {
                "image": {"bytes": file.getvalue(), "path": f"{image_id}.jpg"},
                "image_id": image_id,
                "lesion_id": f"HAM_{number}",
                "dx": "mel",
                "age": 45.0,
            }
        )
    return pyarrow.Table.from_pylist(rows)


def test_parquet_is_unpacked_once_into_the_original_layout(hub, tmp_path):
    fetched, calls = hub
    (fetched / "data").mkdir()
    pyarrow.parquet.write_table(table(["ISIC_1", "ISIC_2"]), fetched / "data" / "train.parquet")
    pyarrow.parquet.write_table(table(["ISIC_2", "ISIC_3"]), fetched / "data" / "test.parquet")
    folder = downloading.download(SOURCE, tmp_path / "cache")
    found = check(folder)
    assert sorted(row.image_id for row in found.rows) == ["ISIC_1", "ISIC_2", "ISIC_3"]
    assert not found.missing
    assert not found.unreadable
    assert downloading.download(SOURCE, tmp_path / "cache") == folder
    assert len(calls) == 1, "what was fetched is not fetched again"
    repository, options = calls[0]
    assert repository == "somebody/skin"
    assert (options["repo_type"], options["revision"]) == ("dataset", SOURCE.revision)


def test_the_original_layout_is_used_as_it_is(hub, tmp_path):
    write_ham10000(hub[0], 2)
    assert downloading.download(SOURCE, tmp_path / "cache") == hub[0]


def test_another_kind_of_data_set_is_refused(hub, tmp_path):
    with pytest.raises(DataError, match=r"somebody/skin holds neither HAM10000_metadata\.csv nor"):
        downloading.download(SOURCE, tmp_path)


def test_columns_that_are_absent_are_named(hub, tmp_path):
    pyarrow.parquet.write_table(pyarrow.table({"image_id": ["a"]}), hub[0] / "a.parquet")
    with pytest.raises(DataError, match=r"a\.parquet lacks the column.*dx.*image.*lesion_id"):
        downloading.download(SOURCE, tmp_path)


@pytest.mark.parametrize("error", [LocalEntryNotFoundError("offline"), ConnectionError("refused")])
def test_a_hub_out_of_reach_names_the_way_out(monkeypatch, tmp_path, error):
    def refuse(*args, **options):
        raise error

    monkeypatch.setattr(downloading, "snapshot_download", refuse)
    with pytest.raises(DataError, match="--data"):
        downloading.download(SOURCE, tmp_path)


def test_the_recipes_pin_a_revision():
    for path in RECIPES.glob("*.yaml"):
        assert len(load_recipe(path).source.revision) == 40
