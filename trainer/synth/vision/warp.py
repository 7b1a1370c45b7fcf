"""Geometric changes of a picture that move the boxes of its writing along.

A change is a homography followed by a smooth displacement; both are applied in one resampling, so
that text is blurred once.
"""

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from trainer.synth.vision.plate import Boxes, Writing

Pixels = NDArray[np.uint8]
Matrix = NDArray[np.float64]
Field = NDArray[np.float32]
_INVERSIONS = 4  # fixed-point steps; displacements are smooth, so each shrinks the error manyfold


def about_centre(matrix: Matrix, width: int, height: int) -> Matrix:
    """A 3x3 matrix that acts about the middle of a picture instead of about its corner."""
    there = np.array([[1, 0, -width / 2], [0, 1, -height / 2], [0, 0, 1]])
    back = np.array([[1, 0, width / 2], [0, 1, height / 2], [0, 0, 1]])
    moved: Matrix = back @ matrix @ there
    return moved


def through_corners(corners: NDArray[np.float32], width: int, height: int) -> Matrix:
    """The homography that takes a picture's corners (clockwise from top left) to `corners`."""
    own = np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float32)
    matrix: Matrix = cv2.getPerspectiveTransform(own, corners.astype(np.float32))
    return matrix


def warp(
    pixels: Pixels,
    writing: Writing,
    matrix: Matrix,
    *,
    size: tuple[int, int],
    bend: Field | None = None,
    ground: Pixels | None = None,
) -> tuple[Pixels, Writing]:
    """The picture and its writing after a change of geometry.

    Args:
        pixels: uint8 [height, width] or [height, width, 3].
        writing: what stands on it.
        matrix: 3x3, takes old coordinates to new ones.
        size: (width, height) of the result.
        bend: float32 [height, width, 2] over the old picture: a point of the flat page at p shows
            what the bent one shows at p + bend(p); None for a flat page.
        ground: what shows where the page does not reach, of the result's size; None repeats the
            page's edge.
    """
    if bend is None:
        moved = cv2.warpPerspective(
            pixels, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        ).astype(np.uint8)
    else:
        moved = _remap(pixels, matrix, size, bend)
    if ground is not None:
        inside = np.full(pixels.shape[:2], 255, dtype=np.uint8)
        cover = cv2.warpPerspective(inside, matrix, size, flags=cv2.INTER_LINEAR)
        share = cover.astype(np.float32) / 255
        if moved.ndim == 3:  # noqa: PLR2004 - colours
            share = share[..., None]
        moved = (moved * share + ground * (1 - share)).astype(np.uint8)
    boxes = _move_boxes(writing.boxes, matrix, bend)
    return moved, replace(writing, boxes=boxes)


def _remap(pixels: Pixels, matrix: Matrix, size: tuple[int, int], bend: Field) -> Pixels:
    """Looks up, for every point of the result, where it lies on the old picture."""
    width, height = size
    xs, ys = np.meshgrid(
        np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32), copy=False
    )
    inverse = np.linalg.inv(matrix).astype(np.float32)
    depth = inverse[2, 0] * xs + inverse[2, 1] * ys + inverse[2, 2]
    old_x = (inverse[0, 0] * xs + inverse[0, 1] * ys + inverse[0, 2]) / depth
    old_y = (inverse[1, 0] * xs + inverse[1, 1] * ys + inverse[1, 2]) / depth
    shift = cv2.remap(bend, old_x, old_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    found: Pixels = cv2.remap(
        pixels,
        old_x + shift[..., 0],
        old_y + shift[..., 1],
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    ).astype(np.uint8)
    return found


def _move_boxes(boxes: Boxes, matrix: Matrix, bend: Field | None) -> Boxes:
    """The rectangles around the moved corners of each box."""
    if not len(boxes):
        return boxes
    corners = boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 2).astype(np.float64)
    if bend is not None:
        corners = _unbend(corners, bend)
    moved = np.column_stack([corners, np.ones(len(corners))]) @ matrix.T
    points = (moved[:, :2] / moved[:, 2:]).reshape(-1, 4, 2)
    around: Boxes = np.concatenate([points.min(axis=1), points.max(axis=1)], axis=1).astype(
        np.float32
    )
    return around


def _unbend(points: NDArray[np.float64], bend: Field) -> NDArray[np.float64]:
    """Where on the bent page the points of the flat one are: p with p + bend(p) = point."""
    height, width = bend.shape[:2]
    found = points.copy()
    for _ in range(_INVERSIONS):
        column = np.clip(found[:, 0], 0, width - 1).astype(np.intp)
        row = np.clip(found[:, 1], 0, height - 1).astype(np.intp)
        found = points - bend[row, column]
    return found


def smooth_field(
    noise: np.random.Generator, size: tuple[int, int], knots: tuple[int, int], reach: float
) -> Field:
    """A smooth random field over (width, height) with values up to about `reach`.

    Args:
        noise: the only source of randomness.
        size: (width, height) in pixels.
        knots: how many independent values across and down.
        reach: the standard deviation of the knots.
    """
    coarse = noise.normal(0, reach, (knots[1], knots[0])).astype(np.float32)
    field: Field = cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)
    return field
