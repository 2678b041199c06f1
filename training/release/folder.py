"""The folder of a release: written aside, checked, moved together; after a failure it is as it was.

Knows files and the manifest; it does not know what a model is worth (``training.measure``).
"""

import os
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console

from mel_demo.manifest import FILE_NAME, Manifest, load_manifest, to_json, verify_weights
from training.files import write_text
from training.provenance import git_commit
from training.release.cards import model_card


class Release:
    """``with Release(output) as release:`` write to ``release.folder``, then ``publish`` once.

    ``output``: the weights folder, which may exist. ``folder`` lies beside it, so that files can be
    moved there in one step, and goes when the block ends.
    """

    def __init__(self, output: Path):
        self.output = output
        self._aside: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> Self:
        self.output.parent.mkdir(parents=True, exist_ok=True)
        self._aside = tempfile.TemporaryDirectory(
            prefix=f".{self.output.name}-", dir=self.output.parent
        )
        self.folder = Path(self._aside.name) / "new"
        self.folder.mkdir()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._aside is not None
        self._aside.cleanup()

    def publish(self, manifest: Manifest) -> Manifest:
        """Write manifest and model cards, check all, and move them; the manifest as it is read.

        Every model's file is in ``folder``, or stays in ``output`` as it is. Raises ManifestError
        for a manifest that would not be read back, WeightsError for a file that is not the one it
        describes.
        """
        write_text(self.folder / FILE_NAME, to_json(manifest))
        written = load_manifest(self.folder)
        for key, spec in written.models.items():
            new = (self.folder / spec.file).is_file()
            verify_weights(spec, self.folder if new else self.output)
            write_text(self.folder / f"{key}.md", model_card(spec))
        self._move()
        Console().print(f"Written: {self.output / FILE_NAME} ({written.version}), its model cards")
        return written

    def _move(self) -> None:
        """Replace files of ``output``; killed half-way it has no manifest, never a wrong one."""
        existed = self.output.is_dir()
        self.output.mkdir(exist_ok=True)
        before = self.folder.with_name("before")
        before.mkdir()
        names = sorted(file.name for file in self.folder.iterdir() if file.name != FILE_NAME)
        try:
            for name in (FILE_NAME, *names):
                if (self.output / name).exists():
                    os.replace(self.output / name, before / name)
            for name in (*names, FILE_NAME):
                os.replace(self.folder / name, self.output / name)
        except BaseException:
            self._restore(before, names)
            if not existed:
                shutil.rmtree(self.output)
            raise

    def _restore(self, before: Path, names: list[str]) -> None:
        for name in (FILE_NAME, *names):
            if not (self.folder / name).exists():  # it was moved
                (self.output / name).unlink(missing_ok=True)
        for name in (*names, FILE_NAME):
            if (before / name).exists():
                os.replace(before / name, self.output / name)


def warn_unclean() -> None:
    """Say it loudly where the released files would name a commit that nobody can check out."""
    commit = git_commit()
    if commit.endswith("-dirty") or commit == "unknown":
        Console(stderr=True).print(
            f"The source is not a clean commit ({commit}): the release will say so, and nobody can "
            "repeat it. Commit first.",
            style="bold white on red",
        )
