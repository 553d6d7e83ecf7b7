"""Small sets of pictures and recordings, for tests of imported data."""

import numpy as np

from kdlib.data import datasets, importing
from tests.file_writers import zipped


def stored(tmp_path, files, form=None, title="own", limits=None):
    """Import files of two classes, half of them each, and return the dataset."""
    zipped(*((f"{'ab'[row % 2]}/{row:03d}{ending}", content) for row, (ending, content) in enumerate(files)))(
        tmp_path / "own.zip"
    )
    source = importing.stage(tmp_path / "own.zip", form=form, limits=limits)
    draft = importing.build_draft(source, importing.guess_plan(source))
    return datasets.load(importing.store_dataset(source, draft, title))


def noise(row, height=40, width=30, channels=3):
    shape = (height, width, channels) if channels > 1 else (height, width)
    return np.random.default_rng(row).integers(0, 256, shape, dtype=np.uint8)
