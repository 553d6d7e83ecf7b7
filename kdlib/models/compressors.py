"""Compressors: what turns a teacher's embedding (n, d_t) into a compact target (n, d_c).

Two kinds. *Fixed* ones are fitted to the labelled training rows before training and then stay as they are: objects with
`fit(rows, labels)` and `transform(rows)`. *Trainable* ones are modules that learn the target task next to the student,
through a head of their own (Ding & Lerch 2024): the distance loss never moves them. To add one, write a builder and
give it a line in `COMPRESSORS`; `tests/test_compressors.py` runs the contract over every entry.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from sklearn.cross_decomposition import PLSRegression
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.neighbors import NeighborhoodComponentsAnalysis
from sklearn.preprocessing import FunctionTransformer, LabelBinarizer
from sklearn.random_projection import GaussianRandomProjection
from torch import Tensor, nn

from kdlib.models.branches import WHOLE, AdversaryBranch, Bottleneck, BottleneckBranch, TeacherBranch
from kdlib.progress import OnProgress, report_progress
from kdlib.training.optimizer import AdamW

HIDDEN = 64  # units between in- and output of the non-linear compressors
NEIGHBOUR_ROWS = 1000  # that nca is fitted to, at most: its time grows with their square
NEIGHBOUR_STEPS = 30  # of nca's optimizer, at most


class FixedCompressor(Protocol):
    """A compressor that is fitted once, on training rows only.

    A `fit` with a third parameter `on_progress` reports its steps, and can be stopped.
    """

    def fit(self, rows: np.ndarray, labels: np.ndarray, /) -> "FixedCompressor": ...

    def transform(self, rows: np.ndarray, /) -> np.ndarray: ...


@dataclass(frozen=True)
class Compressor:
    """One entry of `COMPRESSORS`.

    Attributes:
        build: fixed: `(dim, seed) -> FixedCompressor`; trainable: `(d_t, dim) -> nn.Module` that maps
            (b, d_t) -> (b, dim).
        trainable: which of the two.
        seeded: fixed only: whether the outcome depends on the seed.
        width: `(d_t, dim, classes) -> d_c`, what it really comes out at.
        prefixes: `(d_c) -> leading widths` that are trained to be usable by themselves; the last is d_c.
        branch: trainable only: what it is trained in, `(module, prefixes, classes, columns) -> TeacherBranch`.
        noise: its branch takes a random number for each of the d_c numbers of a row.
        columns: `(d_c) -> columns of each separate teacher` in what it gives; see `kdlib.models.separation`.
        removes: it removes the attribute that the spec names: its branch takes rows whose attribute is known.
    """

    build: Callable[..., Any]
    trainable: bool = False
    seeded: bool = False
    width: Callable[[int, int, int], int] = lambda d_t, dim, classes: dim  # noqa: ARG005
    prefixes: Callable[[int], tuple[int, ...]] = lambda dim: (dim,)
    branch: Callable[..., TeacherBranch] = TeacherBranch
    noise: bool = False
    columns: Callable[[int], Sequence[slice]] = lambda dim: WHOLE  # noqa: ARG005
    removes: bool = False


# --- fixed ----------------------------------------------------------------------------------------------------


def none(dim: int, seed: int) -> FixedCompressor:  # noqa: ARG001
    """The embedding as it is: the same as the method "raw"."""
    return FunctionTransformer()


def pca(dim: int, seed: int) -> FixedCompressor:
    """Principal components: the directions in which the embedding varies most, whatever they mean."""
    return PCA(n_components=dim, random_state=seed)


def random(dim: int, seed: int) -> FixedCompressor:
    """Random projection: what any map of that width would keep, the control for the others."""
    return GaussianRandomProjection(random_state=seed).set_params(n_components=dim)


def check_separable(method: str, labels: np.ndarray) -> np.ndarray:
    """Return how many rows each class has, (classes,), if there are classes to separate.

    Args:
        method: the compressor that needs them, for the message.
        labels: (n,) class indices, -1 = missing.

    Raises:
        ValueError: several labels an item, or fewer than two classes.
    """
    if labels.ndim == 2:
        raise ValueError(f"{method} needs one label per item; for several labels per item choose another compressor")
    counts = np.unique(labels[labels >= 0], return_counts=True)[1]
    if len(counts) < 2:
        raise ValueError(
            f"{method} separates classes and needs at least 2 among the labelled rows, got {len(counts)}; "
            "choose another compressor"
        )
    return counts


def check_discriminable(labels: np.ndarray) -> None:
    """Return if lda can be fitted to rows with these labels, (n,) class indices, -1 = missing.

    The spread within the classes must be known in every direction of the embedding. Shrinkage sees to that, but two
    rows of a class lie on a line and are not shrunk at all: some class needs a third.

    Raises:
        ValueError: several labels an item, fewer than two classes, or fewer than three rows in each of them.
    """
    counts = check_separable("lda", labels)
    if counts.max() < 3:
        raise ValueError(
            f"lda needs a class with at least 3 labelled rows, got at most {counts.max()} in each of {len(counts)} "
            f"classes; use at least {2 * len(counts) + 1} labels or another compressor"
        )


class _Discriminant:
    """LDA with at most `dim` dimensions: as many as the classes allow."""

    def __init__(self, dim: int) -> None:
        self.dim = dim

    def fit(self, rows: np.ndarray, labels: np.ndarray) -> "_Discriminant":
        check_discriminable(labels)
        known = labels >= 0
        dim = min(self.dim, len(np.unique(labels[known])) - 1)
        self.fitted = LinearDiscriminantAnalysis(solver="eigen", shrinkage="auto", n_components=dim)
        with warnings.catch_warnings():
            # A class of one row adds no spread of its own.
            warnings.filterwarnings("ignore", "Only one sample available")
            try:
                self.fitted.fit(rows[known], labels[known])
            except np.linalg.LinAlgError:
                raise ValueError(
                    "lda needs embeddings that differ within the classes, got the same numbers for all rows of a "
                    "class; use more labels or another compressor"
                ) from None
        return self

    def transform(self, rows: np.ndarray) -> np.ndarray:
        return self.fitted.transform(rows)


def lda(dim: int, seed: int) -> FixedCompressor:  # noqa: ARG001
    """Linear discriminant analysis: the linear directions that separate the classes, at most classes - 1 of them."""
    return _Discriminant(dim)


class _LeastSquares:
    """Partial least squares of the classes, coded as 0 and 1."""

    def __init__(self, dim: int) -> None:
        self.fitted = PLSRegression(n_components=dim)

    def fit(self, rows: np.ndarray, labels: np.ndarray) -> "_LeastSquares":
        if labels.ndim == 1:
            rows, labels = rows[labels >= 0], LabelBinarizer().fit_transform(labels[labels >= 0])
        means = np.nansum(labels, 0) / np.maximum((~np.isnan(labels)).sum(0), 1)
        centred = np.nan_to_num(labels - means)  # what is missing says nothing: the mean of its class
        centred = centred[:, centred.any(0)]
        if not centred.size:
            raise ValueError("pls needs at least 2 classes among the labelled rows, got 1; choose another compressor")
        with warnings.catch_warnings():
            # Fewer directions than asked for explain all there is; the other columns are 0.
            warnings.filterwarnings("ignore", "y residual is constant")
            self.fitted.fit(rows, centred)
        return self

    def transform(self, rows: np.ndarray) -> np.ndarray:
        return np.asarray(self.fitted.transform(rows))


def pls(dim: int, seed: int) -> FixedCompressor:  # noqa: ARG001
    """Partial least squares: the linear directions that vary most together with the classes, any number of them."""
    return _LeastSquares(dim)


class NeighbourComponents:
    """Neighbourhood components of at most `NEIGHBOUR_ROWS` rows, in which classes take turns.

    They start at the principal components, on the scale at which a tenth of the other rows is within distance 1 of a
    row (the median): on a larger one every row has one neighbour only, and nothing to learn from.
    """

    def __init__(self, dim: int) -> None:
        self.dim = dim

    def fit(self, rows: np.ndarray, labels: np.ndarray, on_progress: OnProgress | None = None) -> "NeighbourComponents":
        check_separable("nca", labels)
        rows, labels = rows[labels >= 0][:NEIGHBOUR_ROWS], labels[labels >= 0][:NEIGHBOUR_ROWS]
        axes: Any = PCA(n_components=self.dim, svd_solver="full").fit(rows).components_
        distances = np.sort(euclidean_distances(rows @ axes.T), axis=1)  # the first one is that to itself
        near = np.median(distances[:, 1 + len(rows) // 10])
        scale = near if near > 0 else 1.0
        fitted = NeighborhoodComponentsAnalysis(
            n_components=self.dim,
            init=axes,
            max_iter=NEIGHBOUR_STEPS,
            callback=lambda _, step: report_progress(on_progress, "fitting", step, NEIGHBOUR_STEPS),
        )
        self.components = fitted.fit(rows / scale, labels).components_ / scale
        return self

    def transform(self, rows: np.ndarray) -> np.ndarray:
        return rows @ self.components.T


def nca(dim: int, seed: int) -> FixedCompressor:  # noqa: ARG001
    """Neighbourhood components: the linear directions in which the nearest rows are of the same class.

    Maximises sum_i sum_(j of the class of i) p_ij, p_ij = softmax_j(-|L x_i - L x_j|^2), j != i, over L. Fitted to
    1,000 labelled rows at most and with 30 steps of L-BFGS, as its time grows with the square of the rows.

    Source: Goldberger et al. 2004, Neighbourhood Components Analysis, equations 1-5.
    """
    return NeighbourComponents(dim)


class Autoencoder:
    """A network that squeezes the embedding through d_c numbers and restores it; it never sees a label.

    Args:
        dim: d_c.
        seed: of the initial weights and the order of the rows.
        steps: of the optimizer, each on all rows (or 512 random ones, if there are more).
    """

    def __init__(self, dim: int, seed: int, steps: int = 300) -> None:
        self.dim, self.seed, self.steps = dim, seed, steps

    def fit(self, rows: np.ndarray, labels: np.ndarray, on_progress: OnProgress | None = None) -> "Autoencoder":  # noqa: ARG002
        data, d_t = torch.from_numpy(rows), rows.shape[1]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            self.encoder, decoder = mlp(d_t, self.dim), mlp(self.dim, d_t)
        rng = torch.Generator().manual_seed(self.seed)
        optimizer = AdamW([*self.encoder.parameters(), *decoder.parameters()], lr=3e-3, fused=True)
        for step in range(self.steps):
            report_progress(on_progress, "fitting", step, self.steps)
            batch = data[torch.randint(len(data), (512,), generator=rng)] if len(data) > 512 else data
            optimizer.zero_grad()
            nn.functional.mse_loss(decoder(self.encoder(batch)), batch).backward()
            optimizer.step()
        return self

    @torch.no_grad()
    def transform(self, rows: np.ndarray) -> np.ndarray:
        return self.encoder(torch.from_numpy(rows)).numpy()


def autoencoder(dim: int, seed: int) -> FixedCompressor:
    """Autoencoder: the few numbers from which a small network restores the embedding best, whatever they mean."""
    return Autoencoder(dim, seed)


# --- trainable ----------------------------------------------------------------------------------------------------


def linear(d_t: int, dim: int) -> nn.Module:
    """One linear layer, trained on the target task next to the student."""
    return nn.Linear(d_t, dim)


def mlp(d_t: int, dim: int) -> nn.Sequential:
    """Two layers with a non-linearity between them, trained on the target task next to the student."""
    return nn.Sequential(nn.Linear(d_t, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, dim))


class TopK(nn.Module):
    """Keep the k largest numbers of a row, (b, d) -> (b, d), and set the others to 0.

    Source: Makhzani & Frey 2014, k-Sparse Autoencoders.
    """

    def __init__(self, k: int) -> None:
        super().__init__()
        self.k = k

    def forward(self, rows: Tensor) -> Tensor:
        kept = rows.topk(self.k, dim=-1)
        return torch.zeros_like(rows).scatter(-1, kept.indices, kept.values)


def sparse(d_t: int, dim: int) -> nn.Module:
    """Two layers of which a quarter of the numbers stays on, the others are 0: each stands for something of its own."""
    return nn.Sequential(*mlp(d_t, dim), TopK(max(1, dim // 4)))


def matryoshka(d_t: int, dim: int) -> nn.Module:
    """Two layers trained so that the leading 2, 4, 8, ... dimensions are embeddings too (Kusupati et al. 2022)."""
    return mlp(d_t, dim)


def _doubling_widths(dim: int) -> tuple[int, ...]:
    """Return 2, 4, 8, ... below `dim`, then `dim`."""
    return (*(2**i for i in range(1, (dim - 1).bit_length())), dim)


def vib(d_t: int, dim: int) -> nn.Module:
    """Variational information bottleneck: every bit about an item that its label does not need is paid for.

    Two layers give a normal distribution per item; the head sees samples, and what they tell about the item costs:
    L = CE(y, head(z)) + β · KL(N(μ, σ²) | N(0, 1)), β = 1e-3. The compressed embedding is the mean μ.

    Source: Alemi et al. 2017, Deep Variational Information Bottleneck.
    """
    return Bottleneck(d_t, dim)


def adversarial(d_t: int, dim: int) -> nn.Module:
    """Two layers from which one named attribute is removed: no linear probe shall read it, while the target stays.

    L = CE(y, head(z)) + 3 · R², R² the share of the attribute that the best linear adversary explains from z.

    Source: Ganin et al. 2016, Domain-Adversarial Training of Neural Networks; Sadeghi, Yu & Boddeti 2019, On the Global
    Optima of Kernelized Adversarial Representation Learning. Differs: no adversary is trained behind a reversed
    gradient, which stayed behind the compressor; its optimum is computed in every step, as by the latter.
    """
    return mlp(d_t, dim)


COMPRESSORS: dict[str, Compressor] = {
    "none": Compressor(none, width=lambda d_t, dim, classes: d_t),  # noqa: ARG005
    "pca": Compressor(pca),
    "random": Compressor(random, seeded=True),
    "lda": Compressor(lda, width=lambda d_t, dim, classes: min(dim, classes - 1)),  # noqa: ARG005
    "pls": Compressor(pls),
    "nca": Compressor(nca),
    "autoencoder": Compressor(autoencoder, seeded=True),
    "linear": Compressor(linear, trainable=True),
    "mlp": Compressor(mlp, trainable=True),
    "sparse": Compressor(sparse, trainable=True),
    "matryoshka": Compressor(matryoshka, trainable=True, prefixes=_doubling_widths),
    "vib": Compressor(vib, trainable=True, branch=BottleneckBranch, noise=True),
    "adversarial": Compressor(adversarial, trainable=True, branch=AdversaryBranch, removes=True),
}
