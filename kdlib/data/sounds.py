"""Sounds: notes of eight instrument families, made from numbers, in rooms.

A `Notes` says what is played, `Scenes` where; `render` turns both into waves. The same numbers always give the same wave, so nothing but
the numbers has to be kept. To add a family, write `(frequency, colour, rngs) -> waves` and give it a
line in `FAMILIES`. Overlap is on purpose: bright organs come near dark bows, soft brass near reeds, short notes of all of them near plucks.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
from scipy import fft
from scipy.signal import lfilter
from scipy.special import expit

from kdlib.cache import Arrays, cached_arrays, content_key
from kdlib.data.spectrograms import HOP, log_mel
from kdlib.progress import OnProgress, report_progress

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
        onset, attack, length: (n,) seconds until it begins, until it is at its loudest, and until it has faded to a tenth.
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


# --- families: (n, 1) frequency in Hz, (n, 1) colour in [0, 1], n generators -> (n, SAMPLES) ---------------------------------------------


def _partials(phase: np.ndarray, frequency: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the sum of sin(k · phase) with weights (n, count), leaving out what lies above the highest frequency there is.

    By the recurrence sin((k + 1) x) = 2 cos(x) sin(k x) - sin((k - 1) x): several times as fast as asking for every sine.
    """
    before, now, twice_cos = np.zeros_like(phase), np.sin(phase), 2 * np.cos(phase)
    total = np.zeros_like(phase)
    for number in range(weights.shape[1]):
        heard = weights[:, number : number + 1] * ((number + 1) * frequency < 0.48 * RATE)
        total += heard.astype(np.float32) * now
        before, now = now, twice_cos * now - before
    return total


def _phase(frequency: np.ndarray, vibrato: np.ndarray | float = 0.0, speed: np.ndarray | float = 5.0) -> np.ndarray:
    """Return 2 π f t with a vibrato of that share of f and that speed in Hz."""
    swing = vibrato / speed * np.sin(2 * np.pi * speed * TIME) if np.any(vibrato) else 0.0
    return (2 * np.pi * frequency * (TIME + swing / (2 * np.pi))).astype(np.float32)


def _rolled_off(slope: np.ndarray, rngs: Rngs, count: int = 14, spread: float = 0.5) -> np.ndarray:
    """Return weights (n, count) of partials that fall as k^-slope, each drawn apart by a log-normal factor."""
    drawn = np.exp(spread * np.stack([rng.normal(size=count) for rng in rngs]))
    return drawn * np.arange(1, count + 1) ** -slope


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
    drawn = np.stack([rng.uniform((0.002, 4.5), (0.012, 6.5)) for rng in rngs])
    tone = _partials(_phase(frequency, drawn[:, :1], drawn[:, 1:]), frequency, _rolled_off(2.0 - 1.1 * colour, rngs))
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
    """FM, a ratio that is no whole number: partials out of tune."""
    ratio = np.stack([rng.choice([1.41, 2.24, 2.76, 3.46], 1) for rng in rngs])
    fade = np.stack([rng.uniform(0.2, 0.8, 1) for rng in rngs])
    return _modulated(frequency, ratio, (0.5 + 2.5 * colour) * np.exp(-TIME / fade))


def pluck(frequency: np.ndarray, colour: np.ndarray, rngs: Rngs) -> np.ndarray:
    """A burst of noise going round in a string that loses its highs first. Source: Karplus & Strong 1983."""
    found = np.empty((len(rngs), SAMPLES), np.float32)
    for row, (rng, one, bright) in enumerate(zip(rngs, frequency[:, 0], colour[:, 0], strict=True)):
        period = RATE / one
        whole = int(period - 0.2)
        burst = np.zeros(SAMPLES)
        burst[: whole + 1] = lfilter([0.3 + 0.7 * bright], [1, 0.7 * bright - 0.7], rng.uniform(-1, 1, whole + 1))
        loop = np.zeros(whole + 2)
        loop[0], loop[-2], loop[-1] = 1, -0.992 * (1 - (period - whole) * 0.8), -0.992 * 0.8 * (period - whole)
        found[row] = lfilter([1.0], loop, burst)
    return found


def drum(frequency: np.ndarray, colour: np.ndarray, rngs: Rngs) -> np.ndarray:
    """Noise that rings around its pitch."""
    found = np.empty((len(rngs), SAMPLES), np.float32)
    for row, (rng, one, bright) in enumerate(zip(rngs, frequency[:, 0], colour[:, 0], strict=True)):
        radius, angle = 0.985 - 0.1 * bright, 2 * np.pi * one * rng.uniform(1, 3) / RATE
        found[row] = lfilter(
            [1, 0, -1], [1, -2 * radius * np.cos(angle), radius**2], rng.standard_normal(SAMPLES, np.float32)
        )
    return found


FAMILIES: dict[str, Family] = {
    "organ": organ, "reed": reed, "bow": bow, "brass": brass, "keys": keys, "bell": bell, "pluck": pluck, "drum": drum,
}  # fmt: skip
STRUCK = ("keys", "bell", "pluck", "drum")  # these fade from the first moment on; the others hold

ROOMS = {
    "dry": (0.0, 0.0),
    "small": (0.15, 0.35),
    "large": (0.5, 0.5),
    "hall": (2.0, 0.8),
}  # reverberation time in s, share of it


def _envelopes(notes: Notes, struck: np.ndarray) -> np.ndarray:
    """Return loudness over time (n, SAMPLES) in [0, 1]: up to full in `attack`, down to a tenth at `length`."""
    onset, attack, length = (values[:, None].astype(np.float32) for values in (notes.onset, notes.attack, notes.length))
    since = TIME - onset
    rise = np.clip(since / attack, 0, 1)
    rise[struck] *= np.exp(-np.float32(np.log(10)) * since[struck] / length[struck])
    rise[~struck] *= expit((length[~struck] - since[~struck]) / np.float32(0.02))
    return rise


def play(notes: Notes) -> np.ndarray:
    """Return each note on its own, without a room, (n, SAMPLES) float32."""
    found = np.empty((len(notes.item), SAMPLES), np.float32)
    frequency, colour = LOWEST * 2 ** (notes.pitch[:, None] / 12), notes.colour[:, None]
    for number, name in enumerate(FAMILIES):
        rows = np.flatnonzero(notes.family == number)
        if len(rows):
            rngs = [np.random.default_rng(seed) for seed in notes.seed[rows]]
            found[rows] = FAMILIES[name](frequency[rows], colour[rows], rngs)
    struck = np.isin(notes.family, [list(FAMILIES).index(name) for name in STRUCK])
    found *= _envelopes(notes, struck)
    loudness = np.sqrt(np.square(found).mean(1, keepdims=True)) + 1e-9
    return found / loudness * (10 ** (notes.level[:, None] / 20)).astype(np.float32) * np.float32(0.25)


@lru_cache
def _echo(room: int) -> np.ndarray:
    """Return the spectrum of a room's echo, noise that fades, at the length that `render` convolves with."""
    seconds, _ = list(ROOMS.values())[room]
    time = np.arange(SAMPLES) / RATE
    echo = np.random.default_rng(room).standard_normal(SAMPLES) * 10 ** (-3 * time / max(seconds, 1e-3))
    return fft.rfft((echo / np.sqrt(np.square(echo).sum())).astype(np.float32), 2 * SAMPLES)


def render(notes: Notes, scenes: Scenes) -> np.ndarray:
    """Return what is heard in each scene, (scenes, SAMPLES) float32: its notes together, in their room, over the background noise."""
    waves = np.add.reduceat(play(notes), np.searchsorted(notes.item, np.arange(len(scenes.room))))
    for room, (_, share) in enumerate(ROOMS.values()):
        rows = np.flatnonzero(scenes.room == room)
        if share and len(rows):
            echoed = fft.irfft(fft.rfft(waves[rows], 2 * SAMPLES) * _echo(room), 2 * SAMPLES)[:, :SAMPLES]
            waves[rows] = (1 - share) * waves[rows] + share * echoed
    noise = np.stack([np.random.default_rng(seed).standard_normal(SAMPLES, np.float32) for seed in scenes.seed])
    return waves + noise * (10 ** (scenes.noise[:, None] / 20)).astype(np.float32)


def select_scenes(notes: Notes, scenes: Scenes, rows: np.ndarray) -> tuple[Notes, Scenes]:
    """Return some scenes, numbered anew in the order of `rows`, and their notes."""
    place = np.full(len(scenes.room), -1)
    place[rows] = np.arange(len(rows))
    kept = np.flatnonzero(place[notes.item] >= 0)
    notes = Notes(**{name: values[kept] for name, values in vars(notes).items()} | {"item": place[notes.item[kept]]})
    return notes, Scenes(**{name: values[rows] for name, values in vars(scenes).items()})


# --- many of them -----------------------------------------------------------------------------------------------------------------------

VERSION = 1  # of everything above and of `log_mel`: raise it when the same numbers would sound or look otherwise
Collection = tuple[np.ndarray, Notes, Scenes]
USUAL_PITCH, HIGH_PITCH = (0, 24), (24, 36)  # semitones above 110 Hz
CHUNK = 200  # clips rendered at a time


def _draw(
    rng: np.random.Generator, families: np.ndarray, pitch: tuple[int, int], rooms: tuple[int, ...]
) -> tuple[Notes, Scenes]:
    """Return random notes and scenes.

    Args:
        rng: source of all of them.
        families: bool (n, k), which families sound in each of n clips, a note each.
        pitch: range in semitones above 110 Hz.
        rooms: to choose from.
    """
    item, family = np.nonzero(families)
    n, count = len(families), len(item)
    notes = Notes(
        item=item,
        family=family,
        pitch=rng.uniform(*pitch, count),
        level=rng.uniform(-24, 0, count),
        colour=rng.uniform(0, 1, count),
        onset=rng.uniform(0, 0.15, count),
        attack=np.exp(rng.uniform(np.log(0.005), np.log(0.1), count)),
        length=rng.uniform(0.15, 0.7, count),
        seed=rng.integers(0, 2**31, count),
    )
    return notes, Scenes(rng.choice(rooms, n), rng.uniform(-60, -40, n), rng.integers(0, 2**31, n))


def collection(
    seed: int,
    sizes: dict[str, int],
    families: Callable[[np.random.Generator, int], np.ndarray],
    on_progress: OnProgress | None = None,
) -> Collection:
    """Return log-mel spectrograms (n, 1, mels, frames) of random clips and the numbers they were made of, from the cache if they are there.

    Args:
        seed: another one, other clips.
        sizes: split -> clips; "ood:high" plays above the usual pitch, "ood:room" in the room that no other split plays in.
        families: `(rng, n) -> bool (n, k)`, which families sound.
        on_progress: shown how many have been made.

    Raises:
        CancelledError: `on_progress` asked to stop.
    """
    total = sum(sizes.values())
    usual, unseen = tuple(range(len(ROOMS) - 1)), (len(ROOMS) - 1,)

    def build() -> Arrays:
        parts: list[Arrays] = []
        for number, (split, size) in enumerate(sizes.items()):
            rng = np.random.default_rng([seed, number])
            pitch = HIGH_PITCH if split == "ood:high" else USUAL_PITCH
            notes, scenes = _draw(rng, families(rng, size), pitch, unseen if split == "ood:room" else usual)
            chunks = np.split(np.arange(size), range(CHUNK, size, CHUNK))
            before = sum(len(part["inputs"]) for part in parts)
            pictures = []
            for rows in chunks:
                report_progress(on_progress, "loading", before + int(rows[0]), total)
                pictures.append(log_mel(render(*select_scenes(notes, scenes, rows)), RATE))
            inputs = np.concatenate(pictures)
            played = {f"notes/{key}": values for key, values in vars(notes).items()} | {
                "notes/item": notes.item + before
            }
            parts.append(
                {"inputs": inputs, **played} | {f"scenes/{key}": values for key, values in vars(scenes).items()}
            )
        return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}

    key = content_key(sounds=VERSION, seed=seed, sizes=sizes)
    arrays = cached_arrays("datasets", key, build, partial(report_progress, on_progress, "loading", 0, total))
    made = (
        {key.partition("/")[2]: values for key, values in arrays.items() if key.startswith(kind)}
        for kind in ("notes/", "scenes/")
    )
    notes, scenes = next(made), next(made)
    return arrays["inputs"], Notes(**notes), Scenes(**scenes)


def render_scene(notes: Notes, scenes: Scenes, row: int) -> tuple[int, np.ndarray]:
    """Return samples a second and the wave (SAMPLES,) of one scene."""
    return RATE, render(*select_scenes(notes, scenes, np.array([row])))[0]
