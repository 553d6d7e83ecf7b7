"""Texts as a student gets them: a bag of the words and the letters in each, hashed into a fixed number of places.

`tests/test_text.py` checks it.
"""

from collections.abc import Sequence

import numpy as np

WIDTH = 1024  # numbers of an input: half of them for words, half for letters
NARROWEST, WIDEST = 16, 16_384  # that make sense: fewer tell nothing apart, more cost a student more than they tell


def check_width(width: int) -> int:
    """Return a number of places that texts can be hashed into.

    Raises:
        ValueError: it is none.
    """
    if not NARROWEST <= width <= WIDEST or width % 2:
        raise ValueError(
            f"what a student gets of a text must be an even number of {NARROWEST} to {WIDEST:,} places, got {width:,}"
        )
    return width


def hash_texts(texts: Sequence[str], width: int = WIDTH) -> np.ndarray:
    """Return bags of n-grams, (n, width) float16: what occurs how often, whatever the language, learnt from nothing.

    The first half counts words and pairs of neighbouring words, the second half runs of three letters within words.
    Each n-gram adds 1 or -1 to a place that its hash names. Each half is scaled to the length sqrt(width / 2), so that
    the numbers of an input have a mean square of 1 as other inputs do; a text without words is all zeros.

    Args:
        texts: upper and lower case count as the same.
        width: an even number of places, see `check_width`.

    Source: Weinberger, Dasgupta, Langford, Smola, Attenberg 2009, Feature hashing for large scale multitask learning,
    arXiv 0902.2206, as in scikit-learn's HashingVectorizer. Differs: words and letters are scaled apart.

    Example:
        >>> hash_texts(["The cat sat.", "A dog?"]).shape
        (2, 1024)
    """
    from scipy.sparse import csr_array
    from sklearn.feature_extraction.text import HashingVectorizer  # loads for longer than kdlib.data may take

    half = width // 2
    parts = [
        csr_array(HashingVectorizer(n_features=half, ngram_range=sizes, analyzer=analyzer).transform(texts)).toarray()
        for analyzer, sizes in (("word", (1, 2)), ("char_wb", (3, 3)))
    ]
    return (np.concatenate(parts, axis=1) * np.sqrt(half)).astype(np.float16)
