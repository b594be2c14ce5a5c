"""Write tables of numbers as text, as Python's %.7g does, without holding its lock meanwhile."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scenelift.jit import compiled, kernel_array

__all__ = ["lines_of"]

LONGEST = 24  # bytes of a number and the space before it
POWERS = np.array([10.0**k for k in range(23)])  # a double holds these exactly
SPLIT = 2.0**27 + 1  # splits a double into halves (Dekker, 1971)
MINUS, POINT, ZERO, SPACE, NEWLINE, EXPONENT = b"-.0 \ne"
SMALLEST, LARGEST = 1e-13, 1e9  # that are written here
ONE, TWO, TEN = np.uint32(1), np.uint32(2), np.uint32(10)


def lines_of(name: str, table: NDArray[Any], digits: Sequence[int]) -> bytes:
    """Return a line for every row: the name, and each number after a space.

    Args:
        name: ASCII.
        table: [N, C], finite or not.
        digits: significant ones of each column's numbers, at most 9.
    """
    prefix = np.frombuffer(name.encode("ascii"), np.uint8)
    columns = np.array(digits, np.int64)
    text = np.zeros(len(table) * (len(prefix) + LONGEST * len(columns) + 1), np.uint8)
    values = kernel_array(table, np.float64)
    length = _fill(values, columns, kernel_array(prefix, np.uint8), POWERS, text)
    if length >= 0:
        return text[:length].tobytes()
    template = f"{name}{''.join(f' %.{n}g' for n in digits)}\n"
    return (template * len(table) % tuple(values.ravel().tolist())).encode("ascii")


@compiled
def _fill(
    table: NDArray[Any],
    digits: NDArray[Any],
    prefix: NDArray[Any],
    powers: NDArray[Any],
    text: NDArray[Any],
) -> int:
    """Write all lines, and return how long they are; −1 where a number is Python's to write."""
    at = 0
    for row in table:
        for letter in prefix:
            text[at] = letter
            at += 1
        for column in range(len(row)):
            text[at] = SPACE
            at = _write(row[column], digits[column], powers, text, at + 1)
            if at < 0:
                return at
        text[at] = NEWLINE
        at += 1
    return at


@compiled
def _write(value: float, digits: int, powers: NDArray[Any], text: NDArray[Any], at: int) -> int:
    """Write one number at a place, and return where it ends, or −1."""
    size = abs(value)
    if math.copysign(1.0, value) < 0:
        text[at] = MINUS
        at += 1
    if size == 0:
        text[at] = ZERO
        return at + 1
    if not (size >= SMALLEST and size < LARGEST):
        return -1
    exponent = math.floor(math.log10(size))
    while True:
        shift = digits - 1 - exponent
        if shift < 0:
            return -1
        scaled = size * powers[shift]
        whole = math.floor(scaled)
        number, part = np.uint32(whole), scaled - whole
        if part == 0.5:
            error = _error(size, powers[shift], scaled)
            number += np.uint32(error > 0 or (error == 0 and number % TWO == ONE))
        elif part > 0.5:
            number += ONE
        # The logarithm may be off at a power of ten, and rounding may reach the next one.
        if number >= powers[digits]:
            exponent += 1
        elif number < powers[digits - 1]:
            exponent -= 1
        else:
            break
    while number % TEN == 0:
        number //= TEN
        shift -= 1
    # `number` is the value times ten to the `shift`.
    if exponent < -4:
        shift += exponent  # of what stands before the exponent
    while shift < 0:
        number *= TEN
        shift += 1
    before = 1 if exponent < 0 else exponent + 1  # digits before the point
    end = at + before + (shift + 1 if shift else 0)
    for place in range(end - 1, at - 1, -1):
        if shift and place == at + before:
            text[place] = POINT
        else:
            text[place] = ZERO + number % TEN
            number //= TEN
    if exponent < -4:
        text[end], text[end + 1] = EXPONENT, MINUS
        text[end + 2], text[end + 3] = ZERO + -exponent // 10, ZERO + -exponent % 10
        end += 4
    return end


@compiled
def _error(a: float, b: float, product: float) -> float:
    """Compute a · b − product, where that is the product rounded, exactly."""
    high_a, high_b = SPLIT * a, SPLIT * b
    high_a, high_b = high_a - (high_a - a), high_b - (high_b - b)
    low_a, low_b = a - high_a, b - high_b
    return ((high_a * high_b - product) + high_a * low_b + low_a * high_b) + low_a * low_b
