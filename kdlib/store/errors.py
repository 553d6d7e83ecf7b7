"""What can be wrong with the store, in words for a person."""


class StoreError(ValueError):
    """What the store cannot do; the message is for a person."""


class RunNotFoundError(StoreError):
    """There is no such run, or no such file of a run."""


class StoreUnavailableError(StoreError):
    """The store does not answer: locked, away, or its disk is full. Asking again later may help."""


class StoreDamagedError(StoreUnavailableError):
    """The database of the local store cannot be read. Asking again does not help; the message names the ways out."""
