"""WordLlama: what a text is about, from the token vectors of a large language model, made small.

Source: D. L. Miller 2024, WordLlama, github.com/dleemiller/WordLlama; weights (the token vectors of Llama 2 and others,
reduced to 256 numbers by training on pairs of texts that mean the same) and tokenizer as in wordllama 0.4.0.post1.
Differs: a text without tokens is all zeros, not NaN.
"""

from itertools import chain
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn

from kdlib.data.dataset import Dataset
from kdlib.models.teacher import EmbedRows

TOKENIZER = "tokenizers/l2_supercat_tokenizer_config.json"  # from the folder of the package


def load_network(weights: Path) -> nn.EmbeddingBag:
    """Return the mean of token vectors, ready to evaluate: token numbers in one row, and where each text begins."""
    vectors = load_file(weights)["embedding.weight"].float()
    return nn.EmbeddingBag.from_pretrained(vectors, mode="mean").eval()


def load(weights: Path) -> EmbedRows:
    """Return the function that embeds texts: the mean of their tokens' vectors, 256 wide.

    Raises:
        ValueError: the library that splits texts into tokens is not installed.
    """
    try:
        from tokenizers import Tokenizer  # pyright: ignore[reportMissingImports]
    except ModuleNotFoundError as error:
        raise ValueError(
            "teacher pip:wordllama needs the package tokenizers, which is not installed; `make teachers` installs it"
        ) from error
    network, tokenizer = load_network(weights), Tokenizer.from_file(str(weights.parent.parent / TOKENIZER))
    tokenizer.no_truncation()
    tokenizer.no_padding()

    @torch.inference_mode()
    def embed_rows(dataset: Dataset, rows: np.ndarray) -> np.ndarray:
        if dataset.read is None:
            raise ValueError(f"{dataset.name} has no texts, which this teacher reads; import a table of texts")
        texts = [dataset.read(int(row)) for row in rows]
        tokens = [each.ids for each in tokenizer.encode_batch(texts, add_special_tokens=False)]
        starts = torch.from_numpy(np.cumsum([0, *map(len, tokens)])[:-1])
        return network(torch.tensor(list(chain.from_iterable(tokens)), dtype=torch.long), starts).numpy()

    return embed_rows
