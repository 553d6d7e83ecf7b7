"""Teachers "hf:<id>", "timm:<name>", "torchaudio:<bundle>": networks out of the hubs of three libraries.

    cards      what is kept of a network that was added
    opened     a network that is ready to embed
    files      its files, in the cache that the libraries share
    loading    from a card to a teacher
    adding     from the hub, or the cache, to a card
    transformers_models, timm_models, torchaudio_bundles   each opens the networks of one library

A network is loaded from files on this machine, at the revision that was recorded when it was added; only adding one
downloads. Weights are safetensors (torchaudio's: tensors alone), and no code of a model ever runs. To add a library,
write a module as `timm_models`, and give it a line in `cards.REFERENCES` and in `providers.PROVIDERS`.
"""

from kdlib.models.providers.hub.adding import add
from kdlib.models.providers.hub.cards import EXAMPLES, REFERENCES, HubCard, read_cards, remove

__all__ = ["EXAMPLES", "REFERENCES", "HubCard", "add", "read_cards", "remove"]
