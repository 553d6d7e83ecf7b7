"""Sounds: notes of eight instrument families, made from numbers, in rooms.

`Notes` say what is played, `Scenes` where; `render` turns both into waves. The same numbers always give the same wave,
so only the numbers are stored. To add a family, write `(frequency, colour, rngs) -> waves` and give it a line in
`FAMILIES`. Timbres
overlap on purpose: bright organs come near dark bows, soft brass near reeds, short notes of all of them near plucks.
`tests/test_sounds.py`
plays every family.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import fft
from scipy.signal import lfilter
from scipy.special import expit

from kdlib.data.spectrograms import HOP

VERSION = 1  # of this module and of `log_mel`: raise it when the same numbers would sound or look different
RATE = 8000  # Hz
SAMPLES = 32 * HOP  # of a clip: 0.77 s, 32 frames
LOWEST = 110.0  # Hz, the pitch of semitone 0
TIME = (np.arange(SAMPLES) / RATE).astype(np.float32)  # s

Rngs = Sequence[np.random.Generator]
Family = Callable[[np.ndarray, np.ndarray, Rngs], np.ndarray]


@dataclass(frozen=True)
class Notes:
    """What is played, one number per note.

    Attributes:
        item: (n,) the scene it belongs to, int64, not falling; every scene has a note.
        family: (n,) index into `FAMILIES`, int64.
        pitch: (n,) semitones above 110 Hz.
        level: (n,) dB re full scale.
        colour: (n,) 0 (dark) to 1 (bright).
        onset, attack, length: (n,) seconds until it begins, until it is at its loudest, and until it has faded to a
            tenth.
        seed: (n,) int64, of what is random in it.
    """

    item: np.ndarray
    family: np.ndarray
    pitch: np.ndarray
    level: np.ndarray
    colour: np.ndarray
    onset: np.ndarray
    attack: np.ndarray
    length: np.ndarray
    seed: np.ndarray


@dataclass(frozen=True)
class Scenes:
    """Where it is played, one number per clip.

    Attributes:
        room: (n,) index into `ROOMS`, int64.
        noise: (n,) level of the background noise, dB re full scale.
        seed: (n,) int64, of that noise.
    """

    room: np.ndarray
    noise: np.ndarray
    seed: np.ndarray


# Families: frequency (n, 1) in Hz, colour (n, 1) in [0, 1], n generators -> waves (n, SAMPLES)


def _partials(phase: np.ndarray, frequency: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the sum of sin(k · phase) with weights (n, count), without partials near or above half the sampling rate.

    By the recurrence sin((k + 1) x) = 2 cos(x) sin(k x) - sin((k - 1) x): several times as fast as computing every
    sine.
    """
    before, now, twice_cos = np.zeros_like(phase), np.sin(phase), 2 * np.cos(phase)
    total = np.zeros_like(phase)
    for number in range(weights.shape[1]):
        weight = weights[:, number : number + 1] * ((number + 1) * frequency < 0.48 * RATE)
        total += weight.astype(np.float32) * now
        before, now = now, twice_cos * now - before
    return total


def _phase(frequency: np.ndarray, vibrato: np.ndarray | float = 0.0, speed: np.ndarray | float = 5.0) -> np.ndarray:
    """Return 2 π f t with a vibrato of that share of f and that speed in Hz."""
    swing = vibrato / speed * np.sin(2 * np.pi * speed * TIME) if np.any(vibrato) else 0.0
    return (2 * np.pi * frequency * (TIME + swing / (2 * np.pi))).astype(np.float32)


def _rolled_off(slope: np.ndarray, rngs: Rngs, count: int = 14, spread: float = 0.5) -> np.ndarray:
    """Return weights (n, count) of partials that fall as k^-slope, each times a random log-normal factor."""
    factors = np.exp(spread * np.stack([rng.normal(size=count) for rng in rngs]))
    return factors * np.arange(1, count + 1) ** -slope


def organ(frequency: np.ndarray, colour: np.ndarray, rngs: Rngs) -> np.ndarray:
    """Additive: all partials, steady."""
    return _partials(_phase(frequency), frequency, _rolled_off(2.2 - 1.2 * colour, rngs))


def reed(frequency: np.ndarray, colour: np.ndarray, rngs: Rngs) -> np.ndarray:
    """Additive: odd partials strong, even ones weak."""
    weights = _rolled_off(1.9 - 1.0 * colour, rngs)
    weights[:, 1::2] *= np.stack([rng.uniform(0.05, 0.5, 1) for rng in rngs])
    return _partials(_phase(frequency), frequency, weights)


def bow(frequency: np.ndarray, colour: np.ndarray, rngs: Rngs) -> np.ndarray:
    """Additive: all partials with vibrato and a little bow noise."""
    vibrato, speed = np.hsplit(np.stack([rng.uniform((0.002, 4.5), (0.012, 6.5)) for rng in rngs]), 2)
    tone = _partials(_phase(frequency, vibrato, speed), frequency, _rolled_off(2.0 - 1.1 * colour, rngs))
    return tone + 0.05 * np.stack([rng.standard_normal(SAMPLES, np.float32) for rng in rngs])


def _modulated(frequency: np.ndarray, ratio: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Return frequency modulation: sin(2 π f t + index · sin(2 π ratio f t)). Source: Chowning 1973."""
    return np.sin(_phase(frequency) + (index * np.sin(_phase(frequency * ratio))).astype(np.float32))


def brass(frequency: np.ndarray, colour: np.ndarray, rngs: Rngs) -> np.ndarray:
    """FM, ratio 1: gets brighter as it gets louder."""
    rise = np.stack([rng.uniform(0.03, 0.2, 1) for rng in rngs])
    return _modulated(frequency, np.ones_like(frequency), (0.8 + 2.7 * colour) * (1 - np.exp(-TIME / rise)))


def keys(frequency: np.ndarray, colour: np.ndarray, rngs: Rngs) -> np.ndarray:
    """FM, a whole ratio, brightness that dies away: an electric piano."""
    ratio = np.stack([rng.choice([1.0, 2.0, 3.0], 1) for rng in rngs])
    fade = np.stack([rng.uniform(0.1, 0.4, 1) for rng in rngs])
    return _modulated(frequency, ratio, (0.5 + 2.0 * colour) * np.exp(-TIME / fade))


def bell(frequency: np.ndarray, colour: np.ndarray, rngs: Rngs) -> np.ndarray:
    """FM, a ratio that is not a whole number: partials out of tune."""
    ratio = np.stack([rng.choice([1.41, 2.24, 2.76, 3.46], 1) for rng in rngs])
    fade = np.stack([rng.uniform(0.2, 0.8, 1) for rng in rngs])
    return _modulated(frequency, ratio, (0.5 + 2.5 * colour) * np.exp(-TIME / fade))


def pluck(frequency: np.ndarray, colour: np.ndarray, rngs: Rngs) -> np.ndarray:
    """A burst of noise going round in a string that loses its highs first. Source: Karplus & Strong 1983."""
    waves = np.empty((len(rngs), SAMPLES), np.float32)
    for row, (rng, pitch, bright) in enumerate(zip(rngs, frequency[:, 0], colour[:, 0], strict=True)):
        period = RATE / pitch
        samples = int(period - 0.2)
        burst = np.zeros(SAMPLES)
        burst[: samples + 1] = lfilter([0.3 + 0.7 * bright], [1, 0.7 * bright - 0.7], rng.uniform(-1, 1, samples + 1))
        loop = np.zeros(samples + 2)
        loop[0], loop[-2], loop[-1] = 1, -0.992 * (1 - (period - samples) * 0.8), -0.992 * 0.8 * (period - samples)
        waves[row] = lfilter([1.0], loop, burst)
    return waves


def drum(frequency: np.ndarray, colour: np.ndarray, rngs: Rngs) -> np.ndarray:
    """Noise that rings around its pitch."""
    waves = np.empty((len(rngs), SAMPLES), np.float32)
    for row, (rng, pitch, bright) in enumerate(zip(rngs, frequency[:, 0], colour[:, 0], strict=True)):
        radius, angle = 0.985 - 0.1 * bright, 2 * np.pi * pitch * rng.uniform(1, 3) / RATE
        waves[row] = lfilter(
            [1, 0, -1], [1, -2 * radius * np.cos(angle), radius**2], rng.standard_normal(SAMPLES, np.float32)
        )
    return waves


FAMILIES: dict[str, Family] = {
    "organ": organ, "reed": reed, "bow": bow, "brass": brass, "keys": keys, "bell": bell, "pluck": pluck, "drum": drum,
}  # fmt: skip
STRUCK = ("keys", "bell", "pluck", "drum")  # these fade from the start; the others hold

ROOMS = {
    "dry": (0.0, 0.0),
    "small": (0.15, 0.35),
    "large": (0.5, 0.5),
    "hall": (2.0, 0.8),
}  # reverberation time in s, share of the echo


def _envelopes(notes: Notes, struck: np.ndarray) -> np.ndarray:
    """Return loudness over time (n, SAMPLES) in [0, 1]: full after `attack`, a tenth at `length`, both in seconds."""
    onset, attack, length = (values[:, None].astype(np.float32) for values in (notes.onset, notes.attack, notes.length))
    since = TIME - onset
    rise = np.clip(since / attack, 0, 1)
    rise[struck] *= np.exp(-np.float32(np.log(10)) * since[struck] / length[struck])
    rise[~struck] *= expit((length[~struck] - since[~struck]) / np.float32(0.02))
    return rise


def play(notes: Notes) -> np.ndarray:
    """Return each note on its own, without a room, (n, SAMPLES) float32."""
    waves = np.empty((len(notes.item), SAMPLES), np.float32)
    frequency, colour = LOWEST * 2 ** (notes.pitch[:, None] / 12), notes.colour[:, None]
    for number, name in enumerate(FAMILIES):
        rows = np.flatnonzero(notes.family == number)
        if len(rows):
            rngs = [np.random.default_rng(seed) for seed in notes.seed[rows]]
            waves[rows] = FAMILIES[name](frequency[rows], colour[rows], rngs)
    struck = np.isin(notes.family, [list(FAMILIES).index(name) for name in STRUCK])
    waves *= _envelopes(notes, struck)
    loudness = np.sqrt(np.square(waves).mean(1, keepdims=True)) + 1e-9
    return waves / loudness * (10 ** (notes.level[:, None] / 20)).astype(np.float32) * np.float32(0.25)


@lru_cache
def _echo(room: int) -> np.ndarray:
    """Return the spectrum of a room's echo, noise that fades, at the length that `render` convolves with."""
    seconds, _ = list(ROOMS.values())[room]
    time = np.arange(SAMPLES) / RATE
    echo = np.random.default_rng(room).standard_normal(SAMPLES) * 10 ** (-3 * time / max(seconds, 1e-3))
    return np.asarray(fft.rfft((echo / np.sqrt(np.square(echo).sum())).astype(np.float32), 2 * SAMPLES))


def render(notes: Notes, scenes: Scenes) -> np.ndarray:
    """Return the wave of each scene, (scenes, SAMPLES) float32: its notes together, in their room, over noise."""
    waves = np.add.reduceat(play(notes), np.searchsorted(notes.item, np.arange(len(scenes.room))))
    for room, (_, share) in enumerate(ROOMS.values()):
        rows = np.flatnonzero(scenes.room == room)
        if share and len(rows):
            spectrum = np.asarray(fft.rfft(waves[rows], 2 * SAMPLES)) * _echo(room)
            echoed = np.asarray(fft.irfft(spectrum, 2 * SAMPLES))[:, :SAMPLES]
            waves[rows] = (1 - share) * waves[rows] + share * echoed
    noise = np.stack([np.random.default_rng(seed).standard_normal(SAMPLES, np.float32) for seed in scenes.seed])
    return waves + noise * (10 ** (scenes.noise[:, None] / 20)).astype(np.float32)


def select_scenes(notes: Notes, scenes: Scenes, rows: np.ndarray) -> tuple[Notes, Scenes]:
    """Return some scenes, renumbered in the order of `rows`, and their notes."""
    position = np.full(len(scenes.room), -1)
    position[rows] = np.arange(len(rows))
    selected = np.flatnonzero(position[notes.item] >= 0)
    fields = {name: values[selected] for name, values in vars(notes).items()}
    notes = Notes(**fields | {"item": position[fields["item"]]})
    return notes, Scenes(**{name: values[rows] for name, values in vars(scenes).items()})


def render_scene(notes: Notes, scenes: Scenes, row: int) -> tuple[int, np.ndarray]:
    """Return the sampling rate in Hz and the wave (SAMPLES,) float32 of one scene."""
    return RATE, render(*select_scenes(notes, scenes, np.array([row])))[0]
