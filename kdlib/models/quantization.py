"""Precisions in which embeddings are stored: as they are, in half precision, in a byte or a bit a number.

To add one, write how it encodes and decodes, and give it a line in `PRECISIONS`; `tests/test_quantization.py` runs the
contract over every entry.

Source: sentence-transformers, `quantize_embeddings`. Differs: numbers are rounded to the nearest code and held inside
the calibrated range, where that casts and wraps around; a bit says on which side of the middle of the training rows a
number lies, where that asks for its sign: features behind a ReLU have none.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from kdlib.registry import lookup

FLOAT32, BINARY = "float32", "binary"


@dataclass(frozen=True)
class Levels:
    """What codes stand for, for each of d dimensions.

    Attributes:
        low: (d,) float32, the number of the lowest code.
        high: (d,) float32, the number of the highest code.
    """

    low: np.ndarray
    high: np.ndarray


@dataclass(frozen=True)
class Precision:
    """One entry of `PRECISIONS`.

    Attributes:
        help: what it is, in one line.
        bits: of a number.
        dtype: of the codes.
        encode: `(rows (n, d) float32, levels) -> codes (n, d), bits packed to (n, ceil(d / 8))`.
        decode: `(codes, levels, d) -> (n, d) float32`.
        calibrate: `training rows (n, d) -> levels`; None where numbers stand for themselves.
    """

    help: str
    bits: int
    dtype: str
    encode: Callable[[np.ndarray, Any], np.ndarray]
    decode: Callable[[np.ndarray, Any, int], np.ndarray]
    calibrate: Callable[[np.ndarray], Levels] | None = None

    def item_bytes(self, width: int) -> int:
        """Return the bytes that one embedding of that width takes.

        Example:
            >>> PRECISIONS["binary"].item_bytes(12)
            2
        """
        return -(-width * self.bits // 8)


@dataclass(frozen=True)
class Quantizer:
    """A precision, calibrated for embeddings of one space.

    Attributes:
        name: in `PRECISIONS`.
        width: d.
        levels: of its codes; None where numbers stand for themselves.

    Example:
        >>> quantizer = calibrate("int8", embeddings[train])
        >>> quantizer.decode(quantizer.encode(embeddings[test]))
    """

    name: str
    width: int
    levels: Levels | None = None

    @property
    def precision(self) -> Precision:
        """The entry of `PRECISIONS`."""
        return PRECISIONS[self.name]

    @property
    def code_width(self) -> int:
        """Codes per item: bits are packed, eight to a code."""
        return self.precision.item_bytes(self.width) if self.name == BINARY else self.width

    def encode(self, rows: np.ndarray) -> np.ndarray:
        """Return the codes of rows (n, d), in the type of the precision.

        Raises:
            ValueError: a number is too large for half precision.
        """
        return self.precision.encode(np.asarray(rows, np.float32), self.levels)

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """Return what codes stand for, (n, d) float32."""
        return self.precision.decode(codes, self.levels, self.width)

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold: all that it takes to decode."""
        levels = {name: value.tolist() for name, value in vars(self.levels).items()} if self.levels else {}
        return {"precision": self.name, "width": self.width} | levels

    @classmethod
    def from_dict(cls, data: Any) -> "Quantizer":
        """Return the quantizer of a JSON object.

        Raises:
            KeyError, ValueError: it is not one.
        """
        lookup(PRECISIONS, str(data["precision"]), "precision")
        levels = Levels(*(np.asarray(data[name], np.float32) for name in ("low", "high"))) if "low" in data else None
        return cls(str(data["precision"]), int(data["width"]), levels)


def calibrate(name: str, rows: np.ndarray) -> Quantizer:
    """Return a precision calibrated on the training rows of a space.

    Args:
        name: in `PRECISIONS`.
        rows: shape (n, d), at least one.

    Raises:
        ValueError: unknown name, or no row to calibrate on.

    Example:
        >>> calibrate("int8", np.array([[0.0], [255.0]])).encode(np.array([[127.0]]))
        array([[-1]], dtype=int8)
    """
    precision = lookup(PRECISIONS, name, "precision")
    if precision.calibrate is None:
        return Quantizer(name, rows.shape[1])
    if not len(rows):
        raise ValueError(f"{name} is calibrated on training rows, got none; use float32 or float16")
    return Quantizer(name, rows.shape[1], precision.calibrate(np.asarray(rows, np.float32)))


def _ranges(rows: np.ndarray) -> Levels:
    return Levels(rows.min(axis=0), rows.max(axis=0))


def _halves(rows: np.ndarray) -> Levels:
    """Return the means of what lies at most, and above, the mean of each dimension."""
    upper = rows > rows.mean(axis=0, dtype=np.float64)
    counts = upper.sum(axis=0)
    low = np.where(upper, 0, rows).sum(axis=0, dtype=np.float64) / np.maximum(len(rows) - counts, 1)
    high = np.where(upper, rows, 0).sum(axis=0, dtype=np.float64) / np.maximum(counts, 1)
    low, high = np.where(counts == len(rows), high, low), np.where(counts, high, low)  # all rows are equal
    return Levels(low.astype(np.float32), high.astype(np.float32))


def _encode_bytes(rows: np.ndarray, levels: Levels) -> np.ndarray:
    steps = (levels.high - levels.low) / 255
    codes = (rows - levels.low) / np.where(steps > 0, steps, 1)
    return (np.clip(np.rint(codes), 0, 255) - 128).astype(np.int8)


def _decode_bytes(codes: np.ndarray, levels: Levels, width: int) -> np.ndarray:  # noqa: ARG001
    return levels.low + (codes.astype(np.float32) + 128) * ((levels.high - levels.low) / 255)


def _encode_bits(rows: np.ndarray, levels: Levels) -> np.ndarray:
    return np.packbits(rows > (levels.low + levels.high) / 2, axis=1)


def _decode_bits(codes: np.ndarray, levels: Levels, width: int) -> np.ndarray:
    return np.where(np.unpackbits(codes, axis=1, count=width), levels.high, levels.low)


def _halve(rows: np.ndarray, levels: None) -> np.ndarray:  # noqa: ARG001
    largest = float(np.abs(rows).max(initial=0.0))
    if largest > np.finfo(np.float16).max:
        raise ValueError(f"float16 holds numbers up to 65,504, got {largest:.4g}; use float32 or int8")
    return rows.astype(np.float16)


def _widen(codes: np.ndarray, levels: None, width: int) -> np.ndarray:  # noqa: ARG001
    return codes.astype(np.float32)


PRECISIONS: dict[str, Precision] = {
    FLOAT32: Precision("as it was computed", 32, "<f4", lambda rows, levels: rows, _widen),  # noqa: ARG005
    "float16": Precision("half precision: three digits", 16, "<f2", _halve, _widen),
    "int8": Precision("256 steps between the extremes in training", 8, "|i1", _encode_bytes, _decode_bytes, _ranges),
    BINARY: Precision("one bit: above the middle or not", 1, "|u1", _encode_bits, _decode_bits, _halves),
}
