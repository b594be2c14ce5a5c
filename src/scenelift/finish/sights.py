"""Views of a small patch of a surface: frames, lines of sight, and what blocks them.

A frame is float64 [4, 3]: right, up and out of the surface as rows, then the patch's centre.
"""

from __future__ import annotations

import math

import numpy as np

from scenelift.jit import compiled

__all__ = [
    "CLEAR",
    "CROWD",
    "SIGHTS",
    "TILT",
    "in_frame",
    "is_open",
    "leaning",
    "look_at",
    "reach_of",
]

# Lines of sight at a patch, evenly about the normal, and how far they lean from it: on a noisy
# object with creases two at 35° were 0.14 dB PSNR worse than eight at 45°, four 0.02 dB.
SIGHTS = 8
TILT = math.radians(45)
# How far from a patch a line of sight is followed, in cells: nearer are the patch's own splats. It
# is blocked by a cell with so many splats; one may float alone.
CLEAR = 3.0
CROWD = 2


@compiled
def look_at(points, normals):
    """Make a frame whose rows point right, up and out of the surface, with the patch's centre."""
    frame = np.zeros((4, 3))
    for t in range(len(points)):
        for c in range(3):
            frame[3, c] += points[t, c] / len(points)
            frame[2, c] += normals[t, c]
    x, y, z = frame[2]
    length = math.sqrt(x * x + y * y + z * z)
    x, y, z = (x / length, y / length, z / length) if length > 0 else (0.0, 1.0, 0.0)
    a, b, c = (z, 0.0, -x) if abs(y) < 0.9 else (0.0, -z, y)
    length = math.sqrt(a * a + b * b + c * c)
    a, b, c = a / length, b / length, c / length
    frame[0, 0], frame[0, 1], frame[0, 2] = a, b, c
    frame[1, 0], frame[1, 1], frame[1, 2] = y * c - z * b, z * a - x * c, x * b - y * a
    frame[2, 0], frame[2, 1], frame[2, 2] = x, y, z
    return frame


@compiled
def leaning(frame, angle):
    """Make a frame whose line of sight leans by TILT from the normal, towards an angle."""
    tilted = np.zeros((4, 3))
    for c in range(3):
        across = math.cos(angle) * frame[0, c] + math.sin(angle) * frame[1, c]
        tilted[0, c] = math.cos(TILT) * across - math.sin(TILT) * frame[2, c]
        tilted[1, c] = math.cos(angle) * frame[1, c] - math.sin(angle) * frame[0, c]
        tilted[2, c] = math.cos(TILT) * frame[2, c] + math.sin(TILT) * across
        tilted[3, c] = frame[3, c]
    return tilted


@compiled
def in_frame(points, frame):
    local = np.zeros((3, len(points)), np.float32)
    for t in range(len(points)):
        for axis in range(3):
            total = 0.0
            for c in range(3):
                total += frame[axis, c] * (points[t, c] - frame[3, c])
            local[axis, t] = total
    return local


@compiled
def reach_of(points, frame):
    """Measure how far the patch extends from its centre."""
    reach = 0.0
    for t in range(len(points)):
        square = 0.0
        for c in range(3):
            square += (points[t, c] - frame[3, c]) ** 2
        reach = max(reach, square)
    return math.sqrt(reach)


@compiled
def is_open(centre, toward, cells, size, low, cell):
    """Return whether nothing else of the object is between a patch and an eye far away."""
    at = np.zeros(3, np.int64)
    for step in range(2 * (size[0] + size[1] + size[2])):
        along = cell * (CLEAR + step / 2)
        for c in range(3):
            at[c] = math.floor((centre[c] + along * toward[c] - low[c]) / cell)
            if (at[c] < 0 and toward[c] <= 0) or (at[c] >= size[c] and toward[c] >= 0):
                return True
        outside = False
        for c in range(3):
            outside |= at[c] < 0 or at[c] >= size[c]
        if outside:
            continue
        number = (at[0] * size[1] + at[1]) * size[2] + at[2]
        if cells[number + 1] - cells[number] >= CROWD:
            return False
    return True
