"""The notes of a sound font as a dataset of recordings: what plays each, and which instruments are never heard.

A note is a sample as it was recorded, without loop and envelope: its first 2 s. What it is called after is the program
of the General-MIDI list that plays it.
"""

import io
import wave
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import IO

from kdlib.data.intake.archives import Member
from kdlib.data.intake.arrays import Writer
from kdlib.data.intake.contents import Contents
from kdlib.data.intake.formats import InputFormat
from kdlib.data.intake.limits import IntakeError
from kdlib.data.intake.soundfont import LEFT, MONO, RIGHT, SAMPLE_BYTES, Font, Sample, Use, read_font

FAMILIES = (
    "piano",
    "chromatic percussion",
    "organ",
    "guitar",
    "bass",
    "strings",
    "ensemble",
    "brass",
    "reed",
    "pipe",
    "synth lead",
    "synth pad",
    "synth effects",
    "ethnic",
    "percussive",
    "sound effects",
)
FAMILY_PROGRAMS = 8  # programs of a family
LAYERED = {10, 11, 12, 14, 15}  # families whose programs are made of layers of other instruments' samples
SHORTEST_S, LONGEST_S = 0.1, 2.0  # shorter samples are single cycles for a loop; of longer ones the beginning is used
MIN_INSTRUMENTS, MIN_NOTES = 3, 20  # of a family
UNHEARD_SHARE, TEST_SHARE, VAL_SHARE = 0.25, 0.2, 0.15  # of the instruments; of the pitches of each other instrument
UNHEARD_NOTES, MIN_UNHEARD = 1 / 3, 3  # of the notes of a family, at most; notes of an unheard instrument, at least
LOWEST_RATE = 1000  # Hz
WAV_HEADER_BYTES = 44
EVERY_VELOCITY = (0, 127)


@dataclass(frozen=True)
class Note:
    """A sample with what it is.

    Attributes:
        sample: the recording.
        number: of the sample in the font.
        family: index in `FAMILIES`.
        programs: of the family that play it, in order; the first gives the instrument its name.
        key: MIDI key of its pitch.
        velocities: lowest and highest for which it sounds.
    """

    sample: Sample
    number: int
    family: int
    programs: tuple[int, ...]
    key: int
    velocities: tuple[int, int]

    @property
    def program(self) -> int:
        """Return the program that it is a note of."""
        return self.programs[0]

    @property
    def octave(self) -> str:
        """Return the octave that it is in, in scientific pitch notation: "C4-B4" from middle C."""
        octave = self.key // 12 - 1
        return f"C{octave}-B{octave}"

    @property
    def layer(self) -> str:
        """Return which layer of loudness it is, in a font that has several."""
        low, high = self.velocities
        if self.velocities == EVERY_VELOCITY:
            return "only layer"
        return "loud" if high == EVERY_VELOCITY[1] else "medium" if low else "soft"


def read(path: Path, name: str, writer: Writer, form: InputFormat) -> Contents:
    """Read the notes of a sound font: their sounds, family, instrument, pitch, loudness and split.

    Raises:
        IntakeError: it is damaged, or has fewer than two families of enough instruments.
    """
    if path.is_dir():
        raise IntakeError(f"{name} is a folder; a sound font is one file (.sf2)")
    with path.open("rb") as stream:
        font = read_font(stream, path.stat().st_size, name)
        notes, reports = choose_notes(font)
        if len({note.family for note in notes}) < 2:
            raise IntakeError(
                f"{name} has too few notes to learn from: two families of General MIDI or more need at least "
                f"{MIN_INSTRUMENTS} instruments and {MIN_NOTES} notes each" + "".join(f"; {each}" for each in reports)
            )
        from kdlib.data.intake.recordings import read_sounds  # loads the decoder only where it is needed

        writer.reporter.begin(len(notes), len(notes))
        members = _Waves(stream, font, notes)
        writer.write_text("file", [member.name for member in members.list])
        writer.write_text("family", [FAMILIES[note.family] for note in notes], role="target")
        writer.write_text("instrument", [font.programs[note.program] for note in notes], role="attribute")
        writer.write_text("pitch", [note.octave for note in notes], role="attribute")
        writer.write_text("loudness", [note.layer for note in notes], role="attribute")
        writer.write_text("key", [str(note.key) for note in notes])
        writer.write_text("split", split_notes(notes))
        originals, rate, input_rate = read_sounds(members, members.list, writer, form)
    return Contents("sounds", len(notes), writer.columns, reports, rate, input_rate, originals=originals)


def choose_notes(font: Font) -> tuple[list[Note], list[str]]:
    """Return the notes whose family is beyond doubt, and in words how many samples were left out and why."""
    users: dict[int, list[Use]] = defaultdict(list)
    for use in font.uses:
        users[use.sample].append(use)
    notes, left_out = [], Counter[str]()
    for number, uses in sorted(users.items()):
        sample = font.samples[number]
        families = {use.program // FAMILY_PROGRAMS for use in uses}
        families = families if len(families) == 1 else families - LAYERED
        if reason := _why_not(sample, families):
            left_out[reason] += 1
            continue
        family = families.pop()
        uses = sorted((use for use in uses if use.program // FAMILY_PROGRAMS == family), key=lambda use: use.program)
        programs = tuple(use.program for use in uses)
        notes.append(Note(sample, number, family, programs, uses[0].key, uses[0].velocities))
    reports = [_report(count, reason) for reason, count in left_out.most_common()]
    small = _small_families(notes)
    kept = [note for note in notes if note.family not in small]
    if len(kept) < len(notes):
        names = ", ".join(FAMILIES[family] for family in sorted(small))
        reason = f"in families of fewer than {MIN_INSTRUMENTS} instruments or {MIN_NOTES} notes ({names})"
        reports.append(_report(len(notes) - len(kept), reason))
    return kept, reports


def _report(count: int, reason: str) -> str:
    return f"{count:,} sample{' is' if count == 1 else 's are'} left out: {reason}"


def _why_not(sample: Sample, families: set[int]) -> str:
    """Return why a sample is no note to learn from, "" if it is one."""
    if sample.kind == RIGHT:
        return "right channel of a stereo pair"
    if sample.kind not in (MONO, LEFT):
        return "not in the file, or of a type that is not read"
    if sample.rate < LOWEST_RATE:
        return f"sampling rate below {LOWEST_RATE:,} Hz"
    if sample.end - sample.start < SHORTEST_S * sample.rate:
        return f"shorter than {SHORTEST_S} s, a cycle to be looped"
    return "" if len(families) == 1 else "shared by instruments of several families"


def _small_families(notes: Sequence[Note]) -> set[int]:
    sizes = Counter(note.family for note in notes)
    programs = {family: {note.program for note in notes if note.family == family} for family in sizes}
    return {family for family, size in sizes.items() if size < MIN_NOTES or len(programs[family]) < MIN_INSTRUMENTS}


def split_notes(notes: Sequence[Note]) -> list[str]:
    """Return the split of every note, always the same for the same notes.

    A quarter of the instruments of each family is `ood:instrument`: never heard. Of the others, notes of some pitches
    are held out, all layers of a pitch together: neighbouring notes of one instrument are alike, so that `test` asks
    for other notes of instruments that are known, and only `ood:instrument` for what makes a family.
    """
    unheard, source = set(), _sources(notes)
    for family in {note.family for note in notes}:
        sizes = Counter(source[note.program] for note in notes if note.family == family)
        count, held = max(1, round(UNHEARD_SHARE * len(sizes))), 0
        for instrument in _shuffle(sizes):
            if count and sizes[instrument] >= MIN_UNHEARD and held + sizes[instrument] <= UNHEARD_NOTES * sizes.total():
                unheard.add(instrument)
                count, held = count - 1, held + sizes[instrument]
    split_of = {}
    for instrument in set(source.values()) - unheard:
        keys = _shuffle({note.key for note in notes if source[note.program] == instrument}, instrument)
        tested, chosen = round(TEST_SHARE * len(keys)), round((TEST_SHARE + VAL_SHARE) * len(keys))
        for place, key in enumerate(keys):
            split_of[instrument, key] = "test" if place < tested else "val" if place < chosen else "train"
    return [split_of.get((source[note.program], note.key), "ood:instrument") for note in notes]


def _sources(notes: Sequence[Note]) -> dict[int, int]:
    """Return program -> one that stands for all instruments that share samples with it: they are heard together."""
    source = {note.program: note.program for note in notes}
    for note in notes:
        related = {source[program] for program in note.programs if program in source}
        source |= {program: min(related) for program, one in source.items() if one in related}
    return source


def _shuffle(values: Iterable[int], salt: int = 0) -> list[int]:
    return sorted(values, key=lambda value: sha256(f"{salt}/{value}".encode()).digest())


class _Waves:
    """The notes of a font as members that are read like recordings in an archive."""

    def __init__(self, stream: IO[bytes], font: Font, notes: Sequence[Note]) -> None:
        self.stream, self.font = stream, font
        sizes = (WAV_HEADER_BYTES + SAMPLE_BYTES * _count(note.sample) for note in notes)
        self.list = [Member(_file_name(font, note), size) for note, size in zip(notes, sizes, strict=True)]
        self.notes = dict(zip(self.list, notes, strict=True))

    def read(self, member: Member) -> bytes:
        """Return a note as the bytes of a wav."""
        sample = self.notes[member].sample
        self.stream.seek(self.font.waves + SAMPLE_BYTES * sample.start)
        out = io.BytesIO()
        with wave.open(out, "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(SAMPLE_BYTES)
            file.setframerate(sample.rate)
            file.writeframes(self.stream.read(SAMPLE_BYTES * _count(sample)))
        return out.getvalue()

    @contextmanager
    def open(self, member: Member) -> Iterator[IO[bytes]]:
        """Yield a stream of that wav."""
        yield io.BytesIO(self.read(member))


def _count(sample: Sample) -> int:
    """Return how many numbers of a sample are used."""
    return min(sample.end - sample.start, round(LONGEST_S * sample.rate))


def _file_name(font: Font, note: Note) -> str:
    """Return a name that is unique and says what the note is."""
    instrument, sample = (
        "".join(letter if letter.isalnum() or letter in " -#" else "_" for letter in text)
        for text in (font.programs[note.program], note.sample.name)
    )
    return f"{note.program:03d} {instrument}/{note.key:03d} {sample} {note.number}.wav"
