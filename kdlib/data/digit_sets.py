"""The built-in image datasets: handwritten digits, plain and on cluttered backgrounds."""

from functools import partial

import numpy as np
from scipy import ndimage
from sklearn.datasets import load_digits
from sklearn.utils import Bunch

from kdlib.cache import Arrays, cached_arrays, content_key
from kdlib.data.dataset import Attribute, Dataset, consecutive_splits, numbered_ids, to_colours
from kdlib.progress import OnProgress, report_progress

SCANS_VAL, SCANS_TEST = 300, 600  # of the 1,797 scans; the rest is for training, so no scan is in two splits
CANVAS = 16  # pixels
ORIENTATIONS = 6  # of the stripes: multiples of 30 degrees
NOISE = 0.08  # standard deviation of the pixel noise
CLASSES = tuple("0123456789")
CLUTTERED_SIZES = {"train": 10_000, "val": 500, "test": 2_000, "ood:rotated": 2_000, "ood:contrast": 2_000}
ROTATION, ROTATED = (0, 10), (15, 30)  # degrees, of the cluttered digits and of their rotated test set
CONTRAST, STRONG_CONTRAST = (0.05, 0.35), (0.25, 0.5)  # amplitude of the stripes in units of full ink


def _load_scans() -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Return the scans (1797, 8, 8) in [0, 1], their digits, and which scans belong to train, val and test."""
    bunch = load_digits()
    assert isinstance(bunch, Bunch)
    order = np.random.default_rng(0).permutation(len(bunch.target))
    test, val, train = np.split(order, [SCANS_TEST, SCANS_TEST + SCANS_VAL])
    return (
        bunch.images.astype(np.float32) / 16,
        bunch.target.astype(np.int64),
        {"train": train, "val": val, "test": test},
    )


def _place_on_stripes(
    scans: np.ndarray, rng: np.random.Generator, rotation: tuple[float, float], contrast: tuple[float, float]
) -> Arrays:
    """Return each scan on a striped canvas.

    Args:
        scans: (n, 8, 8) in [0, 1].
        rng: source of positions, stripes and noise.
        rotation: range of the absolute angle in degrees; the sign is random.
        contrast: range of the stripes' amplitude, in units of full ink.

    Returns:
        inputs (n, 1, 16, 16), background (n,) orientation index, row and column (n,) of the digit's corner, angle (n,)
        in degrees.
    """
    n, size = len(scans), scans.shape[1]
    angle = rng.uniform(*rotation, n) * rng.choice([-1, 1], n)
    row, column = rng.integers(0, CANVAS - size + 1, (2, n))
    background = rng.integers(0, ORIENTATIONS, n)
    direction = np.pi * background / ORIENTATIONS
    period, phase = rng.uniform(3, 6, n), rng.uniform(0, 2 * np.pi, n)
    y, x = np.mgrid[:CANVAS, :CANVAS]
    along = x * np.cos(direction)[:, None, None] + y * np.sin(direction)[:, None, None]
    stripes = 0.5 + 0.5 * np.sin(2 * np.pi * along / period[:, None, None] + phase[:, None, None])
    canvas = rng.uniform(*contrast, n)[:, None, None] * stripes
    for i in range(n):
        ink = ndimage.rotate(scans[i], angle[i], reshape=False, order=1)
        window = canvas[i, row[i] : row[i] + size, column[i] : column[i] + size]
        np.maximum(window, ink, out=window)
    canvas += rng.normal(0, NOISE, canvas.shape)
    return {
        "inputs": canvas[:, None].astype(np.float32),
        "background": background,
        "row": row,
        "column": column,
        "angle": angle,
    }


def _build_cluttered(on_progress: OnProgress | None) -> Arrays:
    """Return inputs, labels, scan numbers and the factors of every item, split after split."""
    scans, digit, members = _load_scans()
    parts: list[Arrays] = []
    for number, (split, size) in enumerate(CLUTTERED_SIZES.items()):
        done = sum(len(part["labels"]) for part in parts)
        report_progress(on_progress, "loading", done, sum(CLUTTERED_SIZES.values()))
        rng = np.random.default_rng([1, number])
        chosen = rng.choice(members.get(split, members["test"]), size)
        rotation = ROTATED if split == "ood:rotated" else ROTATION
        contrast = STRONG_CONTRAST if split == "ood:contrast" else CONTRAST
        placed = _place_on_stripes(scans[chosen], rng, rotation, contrast)
        parts.append(placed | {"labels": digit[chosen], "scan": chosen})
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


def cluttered_digits(on_progress: OnProgress | None = None) -> Dataset:
    """Real handwritten digits at random places on striped backgrounds, with noise."""
    sizes = CLUTTERED_SIZES
    key = content_key(
        dataset="cluttered-digits",
        scans=_load_scans()[0],
        noise=NOISE,
        version=1,
        sizes=sizes,
        rotation=ROTATION,
        contrast=CONTRAST,
        rotated=ROTATED,
        stronger=STRONG_CONTRAST,
    )
    arrays = cached_arrays(
        "datasets",
        key,
        partial(_build_cluttered, on_progress),
        partial(report_progress, on_progress, "loading", 0, sum(sizes.values())),
    )
    third = (arrays["row"] // 3) * 3 + arrays["column"] // 3
    places = tuple(f"{row} {column}" for row in ("top", "middle", "bottom") for column in ("left", "centre", "right"))
    rotation = np.digitize(arrays["angle"], [-5, 5])
    return Dataset(
        name="cluttered-digits",
        inputs=arrays["inputs"],
        labels=arrays["labels"],
        classes=CLASSES,
        splits=consecutive_splits(sizes),
        attributes={
            "background": Attribute(arrays["background"], tuple(f"{30 * i}°" for i in range(ORIENTATIONS))),
            "position": Attribute(third, places),
            "rotation": Attribute(rotation, ("tilted right", "upright", "tilted left")),
        },
        ids=_scan_ids(sizes, arrays["scan"]),
        look=partial(to_colours, arrays["inputs"]),
    )


def _build_digits() -> Arrays:
    """Return inputs, labels and scan numbers of the plain digits, split after split."""
    scans, labels, members = _load_scans()
    rng = np.random.default_rng(2)
    test = scans[members["test"]]
    angles = rng.uniform(15, 30, len(test)) * rng.choice([-1, 1], len(test))
    rotated = np.stack(
        [ndimage.rotate(scan, angle, reshape=False, order=1) for scan, angle in zip(test, angles, strict=True)]
    )
    noisy = test + rng.normal(0, 0.3, test.shape)
    order = np.concatenate([members["train"], members["val"], *[members["test"]] * 3])
    inputs = np.concatenate([scans[members["train"]], scans[members["val"]], test, rotated, noisy])
    return {"inputs": inputs[:, None].astype(np.float32), "labels": labels[order], "scan": order}


def digits() -> Dataset:
    """The plain 8 x 8 scans of handwritten digits, as they ship with scikit-learn."""
    sizes = {"train": 897, "val": SCANS_VAL, "test": SCANS_TEST, "ood:rotated": SCANS_TEST, "ood:noise": SCANS_TEST}
    scans = _load_scans()[0]
    arrays = cached_arrays(
        "datasets", content_key(dataset="digits", version=1, scans=scans, sizes=sizes), _build_digits
    )
    ink = scans.mean((1, 2))
    thirds = np.digitize(ink, np.quantile(ink, [1 / 3, 2 / 3]))
    return Dataset(
        name="digits",
        inputs=arrays["inputs"],
        labels=arrays["labels"],
        classes=CLASSES,
        splits=consecutive_splits(sizes),
        attributes={"ink": Attribute(thirds[arrays["scan"]], ("little", "medium", "much"))},
        ids=_scan_ids(sizes, arrays["scan"]),
        look=partial(to_colours, arrays["inputs"]),
    )


def _scan_ids(sizes: dict[str, int], scan: np.ndarray) -> np.ndarray:
    """Return "<split>-<number>-scan<scan>" for every row, (n,)."""
    return np.array([f"{name}-scan{number:04d}" for name, number in zip(numbered_ids(sizes), scan, strict=True)])
