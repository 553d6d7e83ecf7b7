"""Sound fonts (.sf2): from RIFF chunks, every size of which is checked, to the recordings that each program plays.

A font lists presets (a program of a bank); the zones of a preset name instruments, the zones of an instrument name
samples, and what a first zone without a name says holds for those after it. `font_notes` makes labelled notes of it.
Source: SoundFont Technical Specification 2.04, sections 5 to 8.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import IO

from kdlib.data.intake.limits import IntakeError

MAX_CHUNKS, MAX_RECORDS = 1000, 65_536  # of a font; a record names another one by a number of 16 bits
SAMPLE_BYTES = 2
TABLES = {
    "phdr": struct.Struct("<20sHHHIII"),
    "pbag": struct.Struct("<HH"),
    "pgen": struct.Struct("<HH"),
    "inst": struct.Struct("<20sH"),
    "ibag": struct.Struct("<HH"),
    "igen": struct.Struct("<HH"),
    "shdr": struct.Struct("<20sIIIIIBbHH"),
}
ORDERED = {"phdr": 3, "pbag": 0, "inst": 1, "ibag": 0}  # chunk -> the field that never falls from record to record
INSTRUMENT, KEYS, VELOCITIES, SAMPLE, ROOT_KEY = 41, 43, 44, 53, 58  # numbers of generators
MONO, RIGHT, LEFT = 1, 2, 4  # types of a sample; others are in the memory of a synthesizer, compressed, or linked
EVERY = (0, 127)
MELODIC_BANK = 0

Records = list[tuple]
Tables = dict[str, Records]


@dataclass(frozen=True)
class Sample:
    """A recording in a font: name, first sample and the one behind the last, rate (Hz), MIDI key, type."""

    name: str
    start: int
    end: int
    rate: int
    key: int
    kind: int


@dataclass(frozen=True)
class Use:
    """That a program plays a sample: MIDI key of its pitch, and for which velocities (lowest, highest)."""

    program: int
    sample: int
    key: int
    velocities: tuple[int, int]


@dataclass(frozen=True)
class Font:
    """What a sound font holds: names of programs, samples, uses, and where in the file the waves begin, bytes."""

    programs: dict[int, str]
    samples: list[Sample]
    uses: list[Use]
    waves: int


def read_font(stream: IO[bytes], size: int, name: str) -> Font:
    """Return what a sound font holds; no wave is read.

    Args:
        stream: of the file.
        size: of the file, bytes.
        name: shown in messages.

    Raises:
        IntakeError: it is cut off, or a size or a number in it points outside.
    """
    chunks = _find_chunks(stream, size, name)
    tables = {tag: _read_table(stream, *chunks[tag], tag, name) for tag in TABLES}
    for tag, field in ORDERED.items():
        numbers = [record[field] for record in tables[tag]]
        if numbers != sorted(numbers):
            raise IntakeError(f"{name} is damaged: the records of its chunk {tag!r} are not in order")
    start, length = chunks["smpl"]
    samples = [_sample(record, length // SAMPLE_BYTES, name) for record in tables["shdr"][:-1]]
    programs, uses = _read_presets(tables, samples, name)
    return Font(programs, samples, uses, start)


def _find_chunks(stream: IO[bytes], size: int, name: str) -> dict[str, tuple[int, int]]:
    """Return the chunks inside the lists of a font: tag -> (first byte, bytes)."""
    stream.seek(0)
    head = stream.read(12).ljust(12, b"\0")
    if head[:4] != b"RIFF" or head[8:] != b"sfbk":
        raise IntakeError(f"{name} is no sound font: an .sf2 begins with RIFF and sfbk")
    promised = struct.unpack_from("<I", head, 4)[0] + 8
    if promised > size:
        raise IntakeError(f"{name} is cut off: it says {promised:,} bytes, there are {size:,}")
    chunks: dict[str, tuple[int, int]] = {}
    for tag, start, length in _walk(stream, 12, promised, name):
        if tag != "LIST" or length < 4:
            continue
        for inner, place, count in _walk(stream, start + 4, start + length, name):
            if chunks.setdefault(inner, (place, count)) != (place, count):
                raise IntakeError(f"{name} has its chunk {inner!r} twice")
            if len(chunks) > MAX_CHUNKS:
                raise IntakeError(f"{name} has more than {MAX_CHUNKS:,} chunks, a sound font has about 20")
    missing = [tag for tag in ("smpl", *TABLES) if tag not in chunks]
    if missing:
        raise IntakeError(f"{name} is no whole sound font: its chunk {missing[0]!r} is missing")
    return chunks


def _walk(stream: IO[bytes], start: int, end: int, name: str) -> Iterator[tuple[str, int, int]]:
    """Yield tag, first byte and size in bytes of the chunks that follow one another."""
    for _ in range(MAX_CHUNKS):
        if start + 8 > end:
            return
        stream.seek(start)
        raw, size = struct.unpack("<4sI", stream.read(8))
        tag = raw.decode("ascii", errors="replace")
        if start + 8 + size > end:
            raise IntakeError(
                f"{name} is damaged or cut off: its chunk {tag!r} says {size:,} bytes, there are {end - start - 8:,}"
            )
        yield tag, start + 8, size
        start += 8 + size + size % 2
    raise IntakeError(f"{name} has more than {MAX_CHUNKS:,} chunks, a sound font has about 20")


def _read_table(stream: IO[bytes], start: int, size: int, tag: str, name: str) -> Records:
    record = TABLES[tag]
    if size % record.size or not record.size <= size <= MAX_RECORDS * record.size:
        raise IntakeError(
            f"{name} has a damaged chunk {tag!r}: {size:,} bytes are not 1 to {MAX_RECORDS:,} records of {record.size}"
        )
    stream.seek(start)
    return list(record.iter_unpack(stream.read(size)))


def clean_text(raw: bytes) -> str:
    """Return a name of a font as text without control characters."""
    text = raw.split(b"\0")[0].decode("latin-1")
    return "".join(letter if letter.isprintable() else " " for letter in text).strip()


def _sample(record: tuple, available: int, name: str) -> Sample:
    raw, start, end, _, _, rate, key, _, _, kind = record
    title = clean_text(raw)
    if kind & 0x10:
        raise IntakeError(f"{name} holds compressed samples (.sf3); a font with plain samples (.sf2) can be read")
    if not kind & 0x8000 and not start <= end <= available:
        raise IntakeError(
            f"{name} is damaged: the sample {title!r} goes from {start:,} to {end:,}, there are {available:,} numbers"
        )
    return Sample(title, start, end, rate, key, kind)


def _zones(tables: Tables, side: str, first: int, last: int, link: int, name: str) -> Iterator[dict[int, int]]:
    """Yield the zones of a preset or an instrument that name what they play: generator -> amount.

    Args:
        tables: of the font.
        side: "p" for presets, "i" for instruments.
        first: first zone.
        last: the one behind the last.
        link: the generator that names what is played.
        name: of the font.
    """
    bags, generators = tables[f"{side}bag"], tables[f"{side}gen"]
    if last >= len(bags):
        raise IntakeError(f"{name} is damaged: zones {first:,} to {last:,} are named, there are {len(bags) - 1:,}")
    shared: dict[int, int] = {}
    for number in range(first, last):
        start, end = bags[number][0], bags[number + 1][0]
        if end > len(generators):
            raise IntakeError(f"{name} is damaged: the generators {start:,} to {end:,} of a zone are not there")
        own = dict(generators[start:end])
        if link in own:
            yield shared | own
        elif number == first:
            shared = own


def _read_presets(tables: Tables, samples: list[Sample], name: str) -> tuple[dict[int, str], list[Use]]:
    """Return the names of the melodic programs, and which samples each plays, every sample of a program once."""
    programs: dict[int, str] = {}
    played: dict[tuple[int, int], tuple[int, int]] = {}  # (program, instrument) -> velocities
    for preset, following in zip(tables["phdr"], tables["phdr"][1:], strict=False):
        program, bank = preset[1], preset[2]
        if bank != MELODIC_BANK or program > EVERY[1]:
            continue
        programs.setdefault(program, clean_text(preset[0]))
        for zone in _zones(tables, "p", preset[3], following[3], INSTRUMENT, name):
            number, velocities = zone[INSTRUMENT], _range(zone.get(VELOCITIES))
            played[program, number] = _join(played.get((program, number), velocities), velocities)
    uses: dict[tuple[int, int], Use] = {}
    instruments = tables["inst"]
    for (program, number), (low, high) in played.items():
        if number >= len(instruments) - 1:
            raise IntakeError(f"{name} is damaged: instrument {number:,} of {len(instruments) - 1:,} is named")
        for zone in _zones(tables, "i", instruments[number][1], instruments[number + 1][1], SAMPLE, name):
            use = _use(program, zone, samples, name)
            velocities = max(low, use.velocities[0]), min(high, use.velocities[1])
            known = uses.setdefault((program, use.sample), replace(use, velocities=velocities))
            uses[program, use.sample] = replace(known, velocities=_join(known.velocities, velocities))
    return programs, list(uses.values())


def _join(one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
    return min(one[0], other[0]), max(one[1], other[1])


def _use(program: int, zone: dict[int, int], samples: list[Sample], name: str) -> Use:
    """Return the use that a zone of an instrument stands for."""
    number = zone[SAMPLE]
    if number >= len(samples):
        raise IntakeError(f"{name} is damaged: sample {number:,} of {len(samples):,} is named")
    key = zone.get(ROOT_KEY, samples[number].key)
    if not 0 <= key <= EVERY[1]:  # a header says 255 where a sample has no pitch
        key = sum(_range(zone.get(KEYS))) // 2
    return Use(program, number, key, _range(zone.get(VELOCITIES)))


def _range(amount: int | None) -> tuple[int, int]:
    """Return lowest and highest value of a range: its low and its high byte."""
    return EVERY if amount is None else (min(amount & 0xFF, EVERY[1]), min(amount >> 8, EVERY[1]))
