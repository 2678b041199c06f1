"""Teachers: several speak as one, and their kept answers are of the very views the student sees."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.support.tiny_trainer import Remembering, trainer
from training.errors import RunError
from training.learn.augment import turned
from training.learn.batches import look, seen_again
from training.learn.run_folder import ANSWERS
from training.learn.teachers import Teachers


def test_several_teachers_say_their_mean_probability():
    views = torch.randn(5, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    one, other = Remembering(), Remembering()
    said = Teachers([one, other])(views).softmax(1)
    expected = (one(views).softmax(1) + other(views).softmax(1)) / 2
    torch.testing.assert_close(said, expected)


def test_a_teacher_is_shown_the_views_at_the_size_it_learned_from():
    views = torch.rand(5, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    one, other = Remembering(), Remembering()
    said = Teachers([one, other], sizes=[8, 12])(views).softmax(1)
    assert [shown.shape[-1] for shown in one.seen + other.seen] == [8, 12]
    smaller = torch.nn.functional.interpolate(views, (8, 8), mode="bilinear", antialias=True)
    expected = (one(smaller).softmax(1) + other(views).softmax(1)) / 2
    torch.testing.assert_close(said, expected)


def test_kept_answers_are_of_the_views_the_student_sees_again_and_again(tmp_path):
    student, teacher = Remembering(), Remembering()
    run = trainer(
        tmp_path, student, teacher, **{"distillation.rounds": 2, "augmentation.mixup": 0.4}
    )
    run.ask_teachers()
    assert len(teacher.seen) == 2 * run.steps
    asked = dict(enumerate(teacher.seen))
    seen = []
    for epoch in range(5):
        run.progress.epoch = epoch
        for step in range(run.steps):
            run.run_step(step)
        shown, student.seen = student.seen, []
        # Each epoch shows one round's batches, every one of them, with the answers given for them.
        first = epoch % 2 * run.steps
        numbers = [
            next(n for n in range(first, first + run.steps) if torch.equal(asked[n], images))
            for images in shown
        ]
        assert sorted(numbers) == list(range(first, first + run.steps))
        seen.append(tuple(numbers))
    assert len(teacher.seen) == 2 * run.steps, "nobody was asked again"
    assert len(set(seen)) > 2, "in new order"
    flat = run.answers.reshape(-1, 4, 7)
    for number, images in asked.items():
        expected = teacher.linear(images.mean((2, 3))).detach().numpy()
        np.testing.assert_allclose(flat[number], expected, rtol=1e-5, atol=1e-6)


def test_an_answer_over_two_orientations_is_the_same_for_a_view_and_its_mirror_image():
    class Sided(torch.nn.Module):
        def forward(self, images):
            return torch.nn.functional.adaptive_avg_pool2d(images[:, :1], (7, 1)).flatten(1)

    views = torch.randn(5, 3, 14, 14, generator=torch.Generator().manual_seed(0))
    teachers = Teachers([Sided()], orientations=2)
    mirrored = turned(views, 5)
    assert not torch.allclose(Sided()(views), Sided()(mirrored))
    one, other = (teachers(x).softmax(1) for x in (views, mirrored))
    torch.testing.assert_close(one, other)


def test_kept_views_are_shown_in_other_orientations_with_the_answers_they_had(tmp_path):
    student, teacher = Remembering(), Remembering()
    options = {"distillation.rounds": 1, "distillation.turns": True}
    run = trainer(tmp_path, student, teacher, **options)
    run.ask_teachers()
    found = set()
    for epoch in range(4):
        run.progress.epoch = epoch
        for step in range(run.steps):
            run.run_step(step)
            shown = student.seen.pop()
            _, kept = seen_again(epoch, step, 1, run.steps, run.run.recipe.seed)
            matches = [k for k in range(8) if torch.equal(turned(teacher.seen[kept], k), shown)]
            assert matches
            found |= set(matches)
    assert len(found) > 3
    assert len(teacher.seen) == run.steps


def test_a_resumed_run_finds_the_answers_it_had(tmp_path):
    first = Remembering()
    trainer(tmp_path, Remembering(), first, **{"distillation.rounds": 1}).ask_teachers()
    assert (tmp_path / ANSWERS).is_file()
    again = Remembering()
    resumed = trainer(tmp_path, Remembering(), again, **{"distillation.rounds": 1})
    resumed.ask_teachers()
    assert again.seen == []
    assert resumed.answers.shape == (1, 3, 4, 7)


def test_frames_held_in_a_devices_memory_give_the_same_views(tmp_path):
    """Which a GPU does; here the memory is the CPU's own."""
    run = trainer(tmp_path, Remembering(), Remembering())
    masks = replace(run.batches.frames, rows=run.batches.frames.rows[:9])
    batches = replace(run.batches, masks=masks)
    ranges = dict.fromkeys(("vignette", "border", "ruler", "blur", "mixup"), 0.7)
    recipe = run.run.recipe
    recipe = recipe.model_copy(
        update={"augmentation": recipe.augmentation.model_copy(update=ranges)}
    )
    seen = [
        look(kept, recipe, run.run.preprocessing, 0, 1, slice(None), 32)
        for kept in (batches, batches.held(torch.device("cpu")))
    ]
    for name in ("images", "labels", "offsets", "lesions"):
        first, second = (getattr(batch, name) for batch in seen)
        torch.testing.assert_close(first, second, rtol=0, atol=0)


def test_losses_are_counted_together_and_one_that_is_no_number_is_named(tmp_path):
    run = trainer(tmp_path, Remembering(), Remembering())
    run.progress.step = 2
    assert run.add_losses([torch.tensor(0.5), torch.tensor(0.25)]) == 0.25
    assert run.progress.loss_sum == 0.75
    run.progress.step = 5
    losses = [torch.tensor(1.0), torch.tensor(torch.nan), torch.tensor(1.0)]
    with pytest.raises(RunError, match=r"The loss became nan in epoch 1, step 4"):
        run.add_losses(losses)


def test_mixed_views_carry_the_labels_of_both_images(tmp_path):
    run = trainer(tmp_path, Remembering(), Remembering(), **{"augmentation.mixup": 0.4})
    plain = trainer(tmp_path, Remembering(), Remembering(), **{"augmentation.mixup": 0.0})
    mixed, clean = (r.look(0, 0, slice(None), 32) for r in (run, plain))
    assert 0 < mixed.share < 1
    assert clean.share == 1
    assert torch.equal(mixed.partners(mixed.labels), clean.labels.roll(2))
    expected = mixed.share * clean.images + (1 - mixed.share) * clean.images.roll(2, 0)
    torch.testing.assert_close(mixed.images, expected)
    # Each process mixes within its own rows, and gets what one process gets.
    own = run.look(0, 0, slice(1, None, 2), 32)
    torch.testing.assert_close(own.images, mixed.images[1::2])
