"""Every distance again, one entry at a time, from the papers' formulas: what the fast ones are compared with."""

import math

import numpy as np


def cos(x, y):
    return sum(a * b for a, b in zip(x, y, strict=True)) / (math.hypot(*x) * math.hypot(*y))


def table(rows, entry):
    return np.array([[entry(x, y) for y in rows] for x in rows])


def huber(difference):
    return difference**2 / 2 if abs(difference) < 1 else abs(difference) - 0.5


def mean_huber(a, b):
    return np.mean([huber(x - y) for x, y in zip(np.ravel(a), np.ravel(b), strict=True)])


def cosine_distance(s, t):
    return np.abs(table(s, cos) - table(t, cos)).mean()


def distance_correlation(s, t):
    a, b = table(s, math.dist), table(t, math.dist)
    n, aa, bb, ab = len(a), 0.0, 0.0, 0.0
    for i in range(n):
        for j in range(n):
            x = a[i, j] - a[i].mean() - a[:, j].mean() + a.mean()
            y = b[i, j] - b[i].mean() - b[:, j].mean() + b.mean()
            aa, bb, ab = aa + x * x / n**2, bb + y * y / n**2, ab + x * y / n**2
    return 1 - ab / math.sqrt(aa * bb + 1e-9)


def rkd_distance(s, t):
    a, b = table(s, math.dist), table(t, math.dist)
    return mean_huber(a / a[a > 0].mean(), b / b[b > 0].mean())


def rkd_angle(s, t):
    def angles(rows):
        n = range(len(rows))
        return [
            cos(rows[i] - rows[j], rows[k] - rows[j]) if i != j and k != j else 0.0 for j in n for i in n for k in n
        ]

    return mean_huber(angles(s), angles(t))


def similarity_preserving(s, t):
    def similarities(rows):
        g = table(rows, np.dot)
        return np.array([row / math.hypot(*row) for row in g])

    return ((similarities(s) - similarities(t)) ** 2).sum() / len(s) ** 2


def pkt(s, t):
    total = 0.0
    for x, y in zip(table(s, cos), table(t, cos), strict=True):
        q, p = (
            np.maximum((1 + x) / 2, 1e-7),
            np.maximum((1 + y) / 2, 1e-7),
        )  # exactly opposite rows happen in one dimension
        q, p = q / q.sum(), p / p.sum()
        total += sum(pi * math.log(pi / qi) for pi, qi in zip(p, q, strict=True))
    return total / len(s)


def cka(s, t):
    def shared(x, y):  # in feature space, where the code uses the (b, b) matrices
        return sum(np.dot(u, v) ** 2 for u in (x - x.mean(axis=0)).T for v in (y - y.mean(axis=0)).T)

    return 1 - shared(s, t) / math.sqrt(shared(s, s) * shared(t, t))


def mse(s, t):
    return sum((a - b) ** 2 for a, b in zip(s.ravel(), t.ravel(), strict=True)) / s.size


def cosine(s, t):
    return np.mean([1 - cos(x, y) for x, y in zip(s, t, strict=True)])


def info_nce(s, t):
    return np.mean([math.log(sum(math.exp(cos(x, z) / 0.1) for z in t)) - cos(x, t[i]) / 0.1 for i, x in enumerate(s)])


def crd(s, t):
    n, total = len(s), 0.0
    for i in range(n):
        for j in range(n):
            critic = math.exp(cos(s[i], t[j]) / 0.1)
            h = critic / (critic + (n - 1) / n)
            total -= math.log(h) if i == j else math.log((n - 1) / n / (critic + (n - 1) / n))
    return total / n


def log_sum(s, t):
    def columns(rows):
        return [(column - column.mean()) / column.std() for column in rows.T]

    return math.log(
        1 + sum(abs(x - y) ** 4 for a, b in zip(columns(s), columns(t), strict=True) for x, y in zip(a, b, strict=True))
    )


def vicreg(s, t):
    d = s.shape[1]
    cov = np.cov(s.T).reshape(d, d)
    hinge = np.mean([max(0, 1 - math.sqrt(cov[j, j] + 1e-4)) for j in range(d)])
    shared = sum(cov[j, k] ** 2 for j in range(d) for k in range(d) if j != k) / d
    return (25 * mse(s, t) + 25 * hinge + shared) / 25


def rid(s, t):
    def best(errors):  # over a grid of variances from the floor up, where the code has the best one in closed form
        floor = 1e-3
        square = np.mean([e**2 for e in errors])
        variance = square + floor
        likelihood = math.log(variance) + (square + floor) / variance
        for factor in (0.5, 0.9, 1.1, 2.0):
            other = variance * factor
            assert math.log(other) + (square + floor) / other > likelihood
        return likelihood - (math.log(floor) + 1)

    return np.mean([best(s[:, j] - t[:, j]) for j in range(s.shape[1])])
