"""The one training loop, for teachers and students alike.

A run whose recipe has ``distillation`` and which is given teachers learns from them as well.
Batches and views follow from (seed, epoch, step) alone: a resumed run, and a run on several
processes, sees what an uninterrupted run on one process sees.
"""

import math
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object, set_seed
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress as Bar,
    TextColumn,
    TimeRemainingColumn,
)
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from timm.optim import create_optimizer_v2
from timm.utils import ModelEmaV3
from torch import nn

from mel_demo.manifest import CLASS_NAMES, MELANOMA, Preprocessing
from training import provenance
from training.errors import RunError
from training.files import held
from training.learn import run_folder
from training.learn.augment import floats, normalised
from training.learn.batches import Batch, Batches, look, orientation, seen_again
from training.learn.lesion import Beside
from training.learn.losses import LabelLoss, distillation_loss
from training.learn.run_folder import (
    Inputs,
    Progress,
    RunRecord,
    claim,
    is_finished,
    save_best,
    save_record,
)
from training.learn.sources import specificities
from training.learn.teachers import Teachers, kept_answers
from training.learn.trackers import tracking
from training.provenance import git_commit
from training.recipe import Recipe

LOOK_STEPS = 10
"""Steps after which losses are looked at: to look is to wait for the device."""


@dataclass(frozen=True)
class Run:
    """Where a run lives and what it starts from.

    ``init`` says in words which weights; ``teacher_sizes``: of the views of each teacher;
    ``inputs``: the files it learns from, where it has any.
    """

    folder: Path
    recipe: Recipe
    recipe_name: str
    network: nn.Module
    preprocessing: Preprocessing
    init: str
    teachers: Sequence[nn.Module] = ()
    teacher_sizes: Sequence[int] = ()
    teacher_folders: Sequence[str] = ()
    inputs: Inputs = field(default_factory=dict)
    resume: bool = False


def train(run: Run, batches: Batches, accelerator: Accelerator) -> RunRecord:
    """Train, validating after every epoch; keeps the best weights (EMA) by melanoma ROC-AUC.

    Returns the record it wrote. Raises RunError when the folder holds another run, when there is
    nothing to resume, or when the loss is no number any more.
    """
    if len(batches.labels) < run.recipe.batch_size:
        raise RunError(
            f"{len(batches.labels)} training images do not fill one batch of "
            f"{run.recipe.batch_size}: give a smaller one, --set batch_size=..."
        )
    if run.recipe.augmentation.mixup and run.recipe.batch_size % (2 * accelerator.num_processes):
        raise RunError(
            "Mixup pairs the two halves of a batch within a process: --set batch_size=... to "
            f"something divisible by {2 * accelerator.num_processes}, not {run.recipe.batch_size}."
        )
    with held(run.folder) if accelerator.is_main_process else nullcontext():
        return _train(run, batches, accelerator)


def _train(run: Run, batches: Batches, accelerator: Accelerator) -> RunRecord:
    claim(run.folder, run.recipe, run.inputs, run.resume, write=accelerator.is_main_process)
    accelerator.wait_for_everyone()
    set_seed(run.recipe.seed + accelerator.process_index)
    trainer = Trainer(run, batches, accelerator)
    if run.resume:
        run_folder.load_state(accelerator, run.folder)
    elif accelerator.is_main_process:
        save_record(run.folder, trainer.record())
    bar = Bar(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        disable=not accelerator.is_main_process,
    )
    with bar, tracking(accelerator, run.folder, run.recipe, run.resume):
        while not trainer.progress.finished:
            trainer.run_epoch(bar)
    return trainer.record()


class Trainer:
    """The moving parts of one run: network, optimiser, schedule, average, progress."""

    def __init__(self, run: Run, batches: Batches, accelerator: Accelerator) -> None:
        recipe = run.recipe
        if accelerator.device.type == "cuda":  # which views made on the CPU would starve
            batches = batches.held(accelerator.device)
        self.run, self.batches, self.accelerator = run, batches, accelerator
        self.steps = len(batches.labels) // recipe.batch_size
        # As it was built: what accelerator prepares may wrap or compile it, of the same tensors.
        self.plain = network = run.network.to(memory_format=torch.channels_last)
        optimizer = create_optimizer_v2(
            network, opt="adamw", lr=recipe.learning_rate, weight_decay=recipe.weight_decay
        )
        # Warm-up and cosine. Not prepared by accelerate, which would step it once a process.
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            max_lr=recipe.learning_rate,
            total_steps=recipe.epochs * self.steps,
            pct_start=recipe.warmup_epochs / recipe.epochs,
            cycle_momentum=False,
            final_div_factor=1e3,
        )
        self.network, self.optimizer = accelerator.prepare(network, optimizer)
        self.average = ModelEmaV3(network, decay=recipe.ema_decay, use_warmup=True)
        self.progress = Progress()
        # Of the code that trains: the tree may change while a long run goes on.
        self.commit = git_commit()
        accelerator.register_for_checkpointing(self.schedule, self.average, self.progress)
        self.label_loss = LabelLoss(recipe.loss).to(accelerator.device)
        self.teachers: Teachers | None = None
        self.answers: np.ndarray | None = None
        self.distillation = recipe.distillation if run.teachers else None
        if self.distillation is not None:
            orientations = self.distillation.orientations
            teachers = Teachers(run.teachers, orientations, run.teacher_sizes)
            self.teachers = teachers.to(accelerator.device).to(memory_format=torch.channels_last)
        self.beside: Beside | None = None
        if recipe.lesion_weight:
            self.beside = Beside(network)

    def run_epoch(self, bar: Bar) -> None:
        """Train from the next step to the end of the epoch, validate, save."""
        progress, recipe = self.progress, self.run.recipe
        clock, speed = time.perf_counter(), 0.0
        self.ask_teachers()
        task = bar.add_task(
            f"epoch {progress.epoch + 1}/{recipe.epochs}",
            total=self.steps,
            completed=progress.step,
            note="",
        )
        self.network.train()
        losses: list[torch.Tensor] = []
        for step in range(progress.step, self.steps):
            losses.append(self.run_step(step))
            progress.images += recipe.batch_size
            progress.step = step + 1
            bar.update(task, advance=1)
            last = progress.step == self.steps
            saves = progress.step % recipe.checkpoint_steps == 0 and not last
            if saves or last or progress.step % LOOK_STEPS == 0:
                loss, losses = self.add_losses(losses), []
                now = time.perf_counter()
                progress.seconds, clock = progress.seconds + now - clock, now
                speed = progress.images / progress.seconds
                bar.update(task, note=f"loss {loss:.3f}, {speed:.0f} images/s")
            if saves:
                run_folder.save_state(
                    self.accelerator, self.run.folder, f"{progress.epoch}-{progress.step}"
                )
        validation = validate(
            self.accelerator, self.average.module, self.batches, self.run.preprocessing
        )
        progress.seconds += time.perf_counter() - clock
        better = self.close_epoch(validation)
        bar.remove_task(task)
        mark = "best so far" if better else f"best {progress.best_roc_auc:.4f}"
        specificity = {
            key.removeprefix("specificity_"): value
            for key, value in validation.items()
            if key.startswith("specificity_")
        }
        # A line of its own, so that a log file without a terminal shows the run as well.
        if not self.accelerator.is_main_process:
            return
        bar.console.print(
            f"epoch {progress.epoch}/{recipe.epochs}: "
            f"loss {progress.history[-1]['train_loss']:.4f}, "
            f"validation ROC-AUC {validation['roc_auc']:.4f} ({mark}), specificity "
            + ", ".join(f"{value:.2f} {key}" for key, value in specificity.items())
            + f", {speed:.0f} images/s",
            highlight=False,
        )

    def ask_teachers(self) -> None:
        """Where the recipe keeps the teachers' answers: fetch them, or ask for all of them now."""
        if self.teachers is None or self.distillation is None or self.answers is not None:
            return
        if not self.distillation.rounds:
            return
        whole = slice(None)
        self.answers = kept_answers(
            self.run.folder,
            self.teachers,
            lambda epoch, step: self.look(epoch, step, whole, self.run.recipe.size).images,
            (self.distillation.rounds, self.steps),
            self.accelerator,
        )

    def run_step(self, step: int) -> torch.Tensor:
        """One step of the optimiser; returns this process's loss, not waited for."""
        progress, recipe, accelerator = self.progress, self.run.recipe, self.accelerator
        loss = self.loss(step)
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(self.network.parameters(), recipe.gradient_clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.schedule.step()
        self.average.update(self.plain, step=progress.epoch * self.steps + step)
        return loss.detach()

    def add_losses(self, losses: list[torch.Tensor]) -> float:
        """Count the losses of the last steps, averaged over the processes; returns the last one.

        This waits for the device. Raises RunError where one is no number.
        """
        progress, recipe = self.progress, self.run.recipe
        values = self.accelerator.reduce(torch.stack(losses), reduction="mean").tolist()
        for step, value in enumerate(values, progress.step - len(values) + 1):
            if not math.isfinite(value):
                raise RunError(
                    f"The loss became {value} in epoch {progress.epoch + 1}, step {step}: "
                    f"--set learning_rate=... lower than {recipe.learning_rate:g}."
                )
            progress.loss_sum += value
        return float(values[-1])

    def loss(self, step: int) -> torch.Tensor:
        """Loss of one batch; teachers and student are given the very same views."""
        recipe, epoch = self.run.recipe, self.progress.epoch
        own = slice(self.accelerator.process_index, None, self.accelerator.num_processes)
        if self.answers is not None:
            epoch, step = seen_again(epoch, step, len(self.answers), self.steps, recipe.seed)
        size = recipe.size_at(self.progress.epoch)
        batch = self.look(epoch, step, own, size)
        distillation = self.distillation
        if self.answers is not None and distillation is not None and distillation.turns:
            batch = batch.turned(orientation(self.progress.epoch, step, recipe.seed))
        with self.accelerator.autocast():
            logits = self.network(batch.images)
            loss = self.label_loss(logits, batch.labels, batch.offsets)
            if batch.share < 1:
                of_partners = map(batch.partners, (batch.labels, batch.offsets))
                mixed = self.label_loss(logits, *of_partners)
                loss = batch.share * loss + (1 - batch.share) * mixed
            if self.teachers is not None and distillation is not None:
                if self.answers is not None:
                    kept = torch.tensor(self.answers[epoch, step][own])
                    said = kept.to(logits.device, non_blocking=True)
                else:
                    said = self.teachers(batch.images)
                loss = distillation_loss(logits, said, loss, distillation)
            if self.beside is not None and batch.lesions is not None:
                loss = loss + recipe.lesion_weight * self.beside(batch.lesions)
            return loss

    def look(self, epoch: int, step: int, own: slice, size: int) -> Batch:
        """The views of a step that one process works on: rows ``own`` of the batch."""
        run = self.run
        batch = look(self.batches, run.recipe, run.preprocessing, epoch, step, own, size)
        return batch.to(self.accelerator.device)

    def close_epoch(self, validation: dict[str, float]) -> bool:
        """Write weights, record, metrics and state; True when the weights are the best so far."""
        progress, recipe, folder = self.progress, self.run.recipe, self.run.folder
        better = progress.end_epoch(
            loss=progress.loss_sum / self.steps,
            learning_rate=float(self.schedule.get_last_lr()[0]),
            validation=validation,
        )
        progress.finished = is_finished(progress.epoch, progress.best_epoch, recipe)
        if self.accelerator.is_main_process:
            if better:
                save_best(folder, self.average.module.state_dict())
            save_record(folder, self.record())
            progress.write_metrics(folder)
        # Before the state: whoever is killed in between logs an epoch twice, not never.
        self.accelerator.log(progress.history[-1], step=progress.epoch)
        run_folder.save_state(self.accelerator, folder, f"{progress.epoch}-0")
        return better

    def record(self) -> RunRecord:
        """What the run folder says of itself."""
        run, progress, recipe = self.run, self.progress, self.run.recipe
        return RunRecord(
            role=recipe.role,
            architecture=recipe.architecture,
            recipe_name=run.recipe_name,
            recipe=recipe.model_dump(mode="json"),
            preprocessing=run.preprocessing,
            git_commit=self.commit,
            seed=recipe.seed,
            splits_sha256=self.batches.splits_sha256,
            init=run.init,
            epochs=progress.epoch,
            best_epoch=progress.best_epoch,
            best_roc_auc=progress.best_roc_auc,
            hours=round(progress.seconds / 3600, 3),
            hardware=_hardware(self.accelerator),
            images_per_second=round(progress.images / max(progress.seconds, 1e-9), 1),
            teacher=", ".join(run.teacher_folders) or None,
            sources=self.batches.sources,
            external_sha256=self.batches.external_sha256,
        )


@torch.no_grad()
def validate(
    accelerator: Accelerator, network: nn.Module, batches: Batches, preprocessing: Preprocessing
) -> dict[str, float]:
    """Melanoma ROC-AUC, balanced accuracy over the seven classes, cross-entropy, specificities.

    The specificities are at 95 % sensitivity, over all images and of each source that is known.
    """
    network.eval()
    own = slice(accelerator.process_index, None, accelerator.num_processes)
    found: list[np.ndarray] = []
    for part in torch.as_tensor(batches.validation)[own].split(64):
        images = normalised(floats(part.to(accelerator.device)), preprocessing)
        found.extend(network(images).float().cpu().numpy())
    pieces = gather_object([np.stack(found)])
    logits = np.empty((len(batches.validation), len(CLASS_NAMES)), np.float32)
    for process, piece in enumerate(pieces):
        logits[process :: accelerator.num_processes] = piece
    scores, labels = torch.from_numpy(logits), batches.validation_labels
    probability = scores.softmax(1)[:, MELANOMA].numpy()
    return {
        "roc_auc": float(roc_auc_score(labels == MELANOMA, probability)),
        "balanced_accuracy": float(balanced_accuracy_score(labels, logits.argmax(1))),
        "cross_entropy": float(nn.functional.cross_entropy(scores, torch.from_numpy(labels))),
        **specificities(probability, labels == MELANOMA, batches.validation_sources),
    }


def _hardware(accelerator: Accelerator) -> str:
    """The device in words: GPU name, or processor and cores."""
    device = accelerator.device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else provenance.describe()
    processes = accelerator.num_processes
    return name + (f", {processes} processes" if processes > 1 else "")
