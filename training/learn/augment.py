"""Random dermoscopy views of whole batches, drawn first and applied after.

``draw`` turns a random generator into plain tensors, one row an image; ``apply`` is then a pure
function of frames and rows. The same rows give the same views on any number of processes, and a
run that resumes in the middle of an epoch sees what it would have seen.

torchvision's transforms draw one set of parameters for a batch, or need a Python loop over
images, which on two cores costs as much as the student's training step; hence this module: one
``grid_sample`` and one colour matrix for all images of a batch.
"""

from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F

from mel_demo.manifest import Preprocessing
from training.recipe import Augmentation

# Rec. 601 luma, what Pillow's "L" uses.
_LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class Views:
    """Parameters of N views: geometry (N, 2, 2) and (N, 2), colour (N, 3, 4) and (N,), and dirt.

    ``linear`` and ``shift`` move the square output, [-1, 1]^2, within the serving crop, which is
    [-1, 1]^2 too (the identity shows the crop). In the same output coordinates: ``light`` (N, 4) is
    the vignette's strength, its centre x y, and the radius beyond which all is black; ``ruler``
    (N, 5) side (0 to 3, or -1 for none), place, length, spacing of the marks and their grey;
    ``box`` (N, 4) the erased rectangle, x0 y0 x1 y1; ``blur`` (N,) the share of a 3x3 mean.
    """

    linear: torch.Tensor
    shift: torch.Tensor
    colour: torch.Tensor
    gamma: torch.Tensor
    light: torch.Tensor
    ruler: torch.Tensor
    box: torch.Tensor
    blur: torch.Tensor

    def __getitem__(self, rows: slice) -> "Views":
        return Views(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})

    def to(self, device: torch.device) -> "Views":
        """The same views on another device, which need not be waited for."""
        return Views(
            **{name: value.to(device, non_blocking=True) for name, value in vars(self).items()}
        )


def draw(count: int, ranges: Augmentation, generator: torch.Generator) -> Views:
    """Draw ``count`` random views; every number comes from ``generator`` alone."""

    def uniform(low: float, high: float, *shape: int) -> torch.Tensor:
        return low + (high - low) * torch.rand(count, *shape, generator=generator)

    angle = torch.deg2rad(uniform(-ranges.rotation, ranges.rotation))
    cos, sin = angle.cos(), angle.sin()
    rotation = torch.stack([cos, -sin, sin, cos], 1).view(-1, 2, 2)
    scale = uniform(*ranges.scale)
    stretch = (uniform(-ranges.stretch, ranges.stretch) / 2).exp()
    flip = torch.where(uniform(0, 1, 2) < 0.5, -1.0, 1.0) if ranges.flips else torch.ones(count, 2)
    axes = torch.stack([scale * stretch, scale / stretch], 1) * flip
    linear = rotation * axes[:, None, :]
    shift = uniform(-ranges.shift, ranges.shift, 2)

    identity = torch.eye(3).expand(count, 3, 3)
    grey = torch.tensor(_LUMA).expand(3, 3)
    saturation = (1 + uniform(-ranges.saturation, ranges.saturation)).view(-1, 1, 1)
    gains = 1 + uniform(-ranges.white_balance, ranges.white_balance, 3)
    brightness = 1 + uniform(-ranges.brightness, ranges.brightness)
    contrast = 1 + uniform(-ranges.contrast, ranges.contrast)
    saturated = saturation * identity + (1 - saturation) * grey
    turned = _about_grey(uniform(-ranges.hue, ranges.hue)) @ saturated
    matrix = (gains * (brightness * contrast).unsqueeze(1)).unsqueeze(2) * turned
    # Contrast turns about mid grey: x -> contrast * x + (1 - contrast) / 2.
    colour = torch.cat([matrix, ((1 - contrast) / 2).view(-1, 1, 1).expand(-1, 3, 1)], dim=2)
    gamma = uniform(-ranges.gamma, ranges.gamma).exp()

    rimmed = uniform(0, 1) < ranges.border
    radius = torch.where(rimmed, uniform(0.85, 1.3), torch.tensor(10.0))
    light = torch.cat(
        [uniform(0, ranges.vignette, 1), uniform(-0.2, 0.2, 2), radius.unsqueeze(1)], dim=1
    )
    marked = uniform(0, 1) < ranges.ruler
    side = torch.where(marked, uniform(0, 4).floor(), torch.tensor(-1.0))
    ruler = torch.stack(
        [side, uniform(0.6, 1), uniform(0.04, 0.12), uniform(0.04, 0.16), uniform(0, 0.4)], dim=1
    )

    centre, half = uniform(-1, 1, 2), uniform(0.1, 0.4, 2)
    erased = (uniform(0, 1) < ranges.erasing).view(-1, 1)
    nothing = torch.tensor([2.0, 2.0, 2.0, 2.0])
    box = torch.where(erased, torch.cat([centre - half, centre + half], 1), nothing)
    return Views(linear, shift, colour, gamma, light, ruler, box, uniform(0, ranges.blur))


def _about_grey(angle: torch.Tensor) -> torch.Tensor:
    """Rotations of RGB about the grey axis (Rodrigues), (N,) radians -> (N, 3, 3)."""
    cos, sin = angle.cos().view(-1, 1, 1), (angle.sin() / 3**0.5).view(-1, 1, 1)
    across = torch.tensor([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]])
    return cos * torch.eye(3) + (1 - cos) / 3 + sin * across


def apply(
    pixels: torch.Tensor,
    aspects: torch.Tensor,
    views: Views,
    preprocessing: Preprocessing,
    size: int | None = None,
) -> torch.Tensor:
    """Views of frames, normalised for the network.

    ``pixels`` uint8 (N, H, W, 3), ``aspects`` (N,) original width by height, ``views`` of N rows as
    they were drawn, ``size`` in place of the preprocessing's.
    Returns float32 (N, 3, size, size), where ``pixels`` are. With an identity view the result is
    the serving crop, up to the difference between grid_sample and Pillow's resize.
    """
    size = size or preprocessing.size
    # What is done at all is asked of the views as drawn: asking a GPU would wait for it.
    drawn, views = views, views.to(pixels.device)
    x = warp(pixels, aspects, views, preprocessing, size)
    if drawn.blur.any():
        x = torch.lerp(x, F.avg_pool2d(x, 3, 1, 1, count_include_pad=False), _each(views.blur))

    matrix, bias = views.colour[:, :, :3], views.colour[:, :, 3:]
    flat = torch.baddbmm(bias, matrix, x.flatten(2)).clamp_(1e-4, 1.0)
    x = flat.pow_(views.gamma.view(-1, 1, 1)).view_as(x)
    along = torch.linspace(-1, 1, size, device=x.device)
    _dim(x, drawn.light, along)
    _mark(x, drawn.ruler, along)

    x = normalised(x, preprocessing)
    x0, y0, x1, y1 = (value.view(-1, 1) for value in views.box.unbind(1))
    erased = ((along >= y0) & (along <= y1)).unsqueeze(2) & (
        (along >= x0) & (along <= x1)
    ).unsqueeze(1)
    # Zero is the mean colour after normalisation.
    return x.masked_fill_(erased.unsqueeze(1), 0.0).contiguous(memory_format=torch.channels_last)


def warp(
    pixels: torch.Tensor,
    aspects: torch.Tensor,
    views: Views,
    preprocessing: Preprocessing,
    size: int,
) -> torch.Tensor:
    """The geometry of views alone: uint8 (N, H, W, C) -> float32 (N, C, size, size) in 0..1."""
    x = floats(pixels)
    # In units of half the shorter side: the frame and the serving crop reach this far from the
    # centre. A view is rotated in these undistorted coordinates, then squashed as serving does.
    extent = torch.stack([aspects, 1 / aspects], dim=1).clamp(min=1.0)
    crop = extent.clamp(max=preprocessing.max_aspect_ratio)
    linear = views.linear * crop.unsqueeze(1) / extent.unsqueeze(2)
    shift = views.shift * crop / extent
    theta = torch.cat([linear, shift.unsqueeze(2)], dim=2)
    grid = F.affine_grid(theta, [len(x), 3, size, size], align_corners=False)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def floats(pixels: torch.Tensor) -> torch.Tensor:
    """uint8 (N, H, W, C) -> float32 (N, C, H, W) in 0..1, channels last in memory."""
    return pixels.permute(0, 3, 1, 2).float().div_(255)


def normalised(x: torch.Tensor, preprocessing: Preprocessing) -> torch.Tensor:
    """Images (N, 3, S, S) in 0..1 as networks want them, in place: (x - mean) / std."""
    mean, std = (
        torch.tensor(values).view(1, 3, 1, 1).to(x.device, non_blocking=True)
        for values in (preprocessing.mean, preprocessing.std)
    )
    return x.sub_(mean).div_(std)


def turned(x: torch.Tensor, orientation: int) -> torch.Tensor:
    """Squares (N, C, S, S) in one of their eight orientations; 0 is as they are."""
    x = torch.rot90(x, orientation % 4, (2, 3))
    return x.flip(3) if orientation >= 4 else x


def _each(values: torch.Tensor) -> torch.Tensor:
    return values.view(-1, 1, 1, 1)


def _dim(x: torch.Tensor, light: torch.Tensor, along: torch.Tensor) -> None:
    """Darken corners and what lies beyond the rim, in place; only the images it concerns."""
    rows = ((light[:, 0] > 0) | (light[:, 3] < 2)).nonzero().squeeze(1)
    if not len(rows):
        return
    light, rows = (value.to(x.device, non_blocking=True) for value in (light[rows], rows))
    strength, cx, cy, radius = (value.view(-1, 1, 1) for value in light.unbind(1))
    squared = (along.view(1, 1, -1) - cx) ** 2 + (along.view(1, -1, 1) - cy) ** 2
    # The corners lie at a squared distance of 2 from the centre.
    bright = 1 - strength * (squared / 2).clamp(max=1)
    rim = torch.sigmoid((radius - squared.sqrt()) * 60)
    x[rows] *= (bright * rim).unsqueeze(1)


def _mark(x: torch.Tensor, ruler: torch.Tensor, along: torch.Tensor) -> None:
    """Draw ruler marks along one side, in place."""
    for row in (ruler[:, 0] >= 0).nonzero().squeeze(1).tolist():
        side, place, length, spacing, grey = ruler[row].tolist()
        marks = (along / spacing).frac().abs() < 0.2
        near = (along > place - length) & (along < place)
        if side >= 2:
            near = near.flip(0)
        dark = marks.unsqueeze(1) & near if side % 2 else near.unsqueeze(1) & marks
        x[row].masked_fill_(dark, grey)
