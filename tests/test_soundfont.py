"""Sound fonts: notes with family, instrument and pitch, what is left out, instruments never heard, damaged files."""

import struct
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest

from kdlib.cli.main import main
from kdlib.data import datasets, imported, importing
from kdlib.data.intake import IntakeError, Limits, font_notes, reading, soundfont
from tests.font_writer import LEFT, MONO, RIGHT, FontFile, Zone, small_font

FLUID = Path("/usr/share/sounds/sf2/FluidR3_GM.sf2")


def parsed(font: FontFile, tmp_path) -> soundfont.Font:
    font.write(tmp_path / "x.sf2")
    with (tmp_path / "x.sf2").open("rb") as stream:
        return soundfont.read_font(stream, (tmp_path / "x.sf2").stat().st_size, "x.sf2")


def understood(font: FontFile, tmp_path):
    """Return the contents and column name -> values that the reading of a font writes."""
    font.write(tmp_path / "x.sf2")
    out = tmp_path / "out"
    out.mkdir()
    contents = reading.read(tmp_path / "x.sf2", "x.sf2", out, Limits())
    return contents, {column.name: np.load(out / column.file) for column in contents.columns}


def test_every_note_says_what_it_is(tmp_path):
    contents, values = understood(small_font(), tmp_path)
    assert contents.rows == 8 * 12
    assert contents.rate == 8000
    row = values["file"].tolist().index("025 Program 25/069 p25 k69 67.wav")
    assert (values["family"][row], values["instrument"][row], values["pitch"][row], values["key"][row]) == (
        "guitar",
        "Program 25",
        "C4-B4",
        "69",
    )
    bands = np.load(tmp_path / "out" / "ends.npy")
    wave = np.fromfile(tmp_path / "out" / "waves.raw", "<i2")[bands[row - 1] : bands[row]]
    crossings = (np.diff(np.signbit(wave)) != 0).sum() / 2 / (len(wave) / 8000)
    assert crossings == pytest.approx(440, rel=0.03), "the sound is that of its pitch"


@pytest.mark.parametrize(
    ("generators", "header", "key"),
    [({"root": 71}, 60, 71), ({}, 62, 62), ({"keys": (40, 50)}, 255, 45), ({}, 255, 63)],
)
def test_the_pitch_is_that_of_the_zone_then_of_the_header_then_the_middle_of_the_keys(
    generators, header, key, tmp_path
):
    font = FontFile([("a", np.zeros(800), 8000, header, MONO)])
    font.instruments.append(("i", [Zone(0, generators)]))
    font.presets.append(("p", 3, 0, [Zone(0)]))
    assert [use.key for use in parsed(font, tmp_path).uses] == [key]


def test_what_the_first_zone_says_holds_for_those_after_it_unless_they_say_otherwise(tmp_path):
    font = FontFile([("a", np.zeros(800), 8000, 60, MONO), ("b", np.zeros(800), 8000, 60, MONO)])
    font.instruments.append(("i", [Zone(-1, {"root": 50}), Zone(0), Zone(1, {"root": 55})]))
    font.presets.append(("p", 3, 0, [Zone(0)]))
    assert [(use.sample, use.key) for use in parsed(font, tmp_path).uses] == [(0, 50), (1, 55)]


def test_velocities_of_preset_and_instrument_make_the_layer_of_loudness(tmp_path):
    font = small_font()
    zones = font.instruments[0][1]
    for place, velocities in enumerate([(0, 60), (61, 100), (101, 127)]):
        zones[place].generators["velocities"] = velocities
    _, values = understood(font, tmp_path)
    assert values["loudness"][:4].tolist() == ["soft", "medium", "loud", "only layer"]
    font.presets[0][3][0].generators["velocities"] = (90, 127)
    (tmp_path / "again").mkdir()
    assert parsed(font, tmp_path / "again").uses[1].velocities == (90, 100)


def test_what_is_no_note_beyond_doubt_is_left_out_and_counted(tmp_path):
    font = small_font()
    name, wave, rate, key, _ = font.samples[0]
    font.samples[0] = (name, wave, rate, key, LEFT)
    font.samples[1] = (name, wave, rate, key, RIGHT)
    font.samples[2] = (name, wave[:100], rate, key, MONO)
    font.samples[5], font.samples[6] = (name, wave, 0, key, MONO), (name, wave, 2**32 - 1, key, MONO)
    font.instruments[4][1].append(Zone(3))  # a guitar plays a sample of the piano
    font.add_program(90, [60])  # a pad of its own, and a layer of piano in it
    font.instruments[-1][1].append(Zone(4))
    font.add_program(0, [60], bank=128)  # a drum kit
    contents, values = understood(font, tmp_path)
    assert contents.rows == 8 * 12 - 5
    assert contents.notes == [
        "2 samples are left out: shorter than 0.1 s, a cycle to be looped",
        "1 sample is left out: right channel of a stereo pair",
        "1 sample is left out: shared by instruments of several families",
        "1 sample is left out: sampling rate below 1,000 Hz",
        "1 sample is left out: in families of fewer than 3 instruments or 20 notes (synth pad)",
    ]
    assert "p0 k60 4" in "".join(values["file"]), "a pad that layers a piano does not make it doubtful"


def test_some_instruments_are_never_heard_and_pitches_of_the_others_are_held_out_as_a_whole(tmp_path):
    font = small_font()
    font.samples += [(f"{name} soft", wave / 2, rate, key, kind) for name, wave, rate, key, kind in font.samples[:12]]
    font.instruments[0][1].extend(Zone(96 + place, {"root": 48 + 3 * place}) for place in range(12))
    _, values = understood(font, tmp_path)
    split_of, splits_of = defaultdict(set), defaultdict(set)
    for instrument, key, split in zip(values["instrument"], values["key"], values["split"], strict=True):
        splits_of[instrument].add(split)
        split_of[instrument, key].add(split)
    unheard = {name for name, splits in splits_of.items() if "ood:instrument" in splits}
    assert len(unheard) == 2
    assert all(splits_of[name] == {"ood:instrument"} for name in unheard)
    assert all(splits_of[name] == {"train", "val", "test"} for name in splits_of.keys() - unheard)
    assert all(len(splits) == 1 for splits in split_of.values()), "a layer of a note that is held out was trained on"


def test_instruments_that_share_recordings_are_heard_together():
    notes = [
        font_notes.Note(soundfont.Sample("", 0, 9, 8000, 60, MONO), 0, 0, programs, 60, (0, 127))
        for programs in [(1,), (2,), (3,), (2, 3), (1, 9), (4,), (3, 4)]
    ]
    assert font_notes._sources(notes) == {1: 1, 2: 2, 3: 2, 4: 2}


def test_a_font_becomes_a_dataset_without_options(tmp_path, monkeypatch):
    monkeypatch.setenv("KDLIB_HOME", str(tmp_path / "home"))
    small_font().write(tmp_path / "tiny.sf2")
    assert main(["import", str(tmp_path / "tiny.sf2"), "--name", "notes"]) == 0
    data = datasets.load(imported.resolve_name("notes"))
    assert data.classes == ("guitar", "piano")
    assert set(data.attributes) == {"instrument", "pitch"}
    assert data.out_of_domain == ("ood:instrument",)
    assert data.inputs.shape[1:3] == (1, 32)
    assert data.listen is not None


def test_the_app_takes_a_font_too(tmp_path, monkeypatch):
    monkeypatch.setenv("KDLIB_HOME", str(tmp_path / "home"))
    small_font().write(tmp_path / "tiny.sf2")
    source = importing.stage_uploads([("tiny.sf2", (tmp_path / "tiny.sf2").read_bytes())])
    plan = importing.guess_plan(source)
    assert (plan.target, plan.split, plan.inputs) == (("family",), "split", "spectrogram")
    assert plan.attributes == ("instrument", "pitch", "loudness")
    importing.build_draft(source, plan)


def test_a_font_with_one_family_is_refused_with_the_reasons(tmp_path):
    font = FontFile()
    for program in (0, 1, 2, 3):
        font.add_program(program, list(range(48, 60)), kind=MONO)
    font.add_program(30, [60], kind=RIGHT)
    with pytest.raises(IntakeError, match=r"two families .* or more need .*; 1 sample is left out: right"):
        understood(font, tmp_path)


@pytest.mark.skipif(not FLUID.exists(), reason="needs Debian's fluid-soundfont-gm")
def test_a_large_font_gives_the_notes_that_the_docs_promise():
    with FLUID.open("rb") as stream:
        notes, _ = font_notes.choose_notes(soundfont.read_font(stream, FLUID.stat().st_size, FLUID.name))
    assert (len(notes), len({note.program for note in notes}), len({note.family for note in notes})) == (684, 77, 11)
    splits = Counter(font_notes.split_notes(notes))
    assert splits == {"train": 329, "val": 73, "test": 101, "ood:instrument": 181}


def _headers(tables: dict[str, bytes], place: int, record: int, value: int) -> bytes:
    """Return the sample headers with another number at a place of one record."""
    raw = bytearray(tables["shdr"])
    struct.pack_into("<I", raw, 46 * record + place, value)
    return bytes(raw)


LIES = {
    "a sample behind the end": (lambda t: {"shdr": _headers(t, 24, 5, 2**31)}, "the sample 'p0 k63' goes from"),
    "a sample that ends before it begins": (lambda t: {"shdr": _headers(t, 20, 5, 2**30)}, "the sample 'p0 k63' goes"),
    "half a record": (lambda t: {"shdr": t["shdr"][:-1]}, "damaged chunk 'shdr'"),
    "no records": (lambda _: {"inst": b""}, "damaged chunk 'inst': 0 bytes"),
    "more records than there are numbers": (lambda _: {"pgen": bytes(4 * 70_000)}, "damaged chunk 'pgen': 280,000"),
    "an instrument that is not there": (lambda t: {"inst": t["inst"][-22:]}, "instrument 0 of 0 is named"),
    "zones that are not there": (lambda t: {"ibag": t["ibag"][:8]}, "there are 1"),
    "generators that are not there": (lambda t: {"igen": t["igen"][:8]}, "the generators .* are not there"),
    "samples that are not there": (lambda t: {"shdr": t["shdr"][-92:]}, r"sample \d+ of 1 is named"),
    "zones that go back": (lambda t: {"pbag": t["pbag"][4:] + t["pbag"][:4]}, "'pbag' are not in order"),
    "compressed samples": (lambda t: {"shdr": _headers(t, 42, 0, 0x110000)}, "compressed samples"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_font_that_lies_is_refused_in_words(lie, tmp_path):
    replace, message = LIES[lie]
    font = small_font()
    font.write(tmp_path / "x.sf2", **replace(font.tables()))
    (tmp_path / "out").mkdir()
    with pytest.raises(IntakeError, match=message):
        reading.read(tmp_path / "x.sf2", "x.sf2", tmp_path / "out", Limits())


def test_a_font_cut_off_anywhere_is_refused(tmp_path):
    """Every whole chunk is there or it is not: no length of the file is taken for another font."""
    small_font().write(tmp_path / "whole.sf2")
    raw = (tmp_path / "whole.sf2").read_bytes()
    (tmp_path / "out").mkdir()
    for size in [12, 13, 20, *range(30, len(raw), len(raw) // 40), len(raw) - 1]:
        (tmp_path / "x.sf2").write_bytes(raw[:size])
        with pytest.raises(IntakeError, match="cut off"):
            reading.read(tmp_path / "x.sf2", "x.sf2", tmp_path / "out", Limits())


def test_a_chunk_that_is_larger_than_its_list_or_there_twice_or_missing_is_refused(tmp_path):
    small_font().write(tmp_path / "whole.sf2")
    raw = (tmp_path / "whole.sf2").read_bytes()
    (tmp_path / "out").mkdir()
    place = raw.index(b"shdr") + 4
    forged = {
        "says 4,294,967,295 bytes": raw[:place] + b"\xff" * 4 + raw[place + 4 :],
        "'ibag' twice": raw.replace(b"pbag", b"ibag"),
        "'pbag' is missing": raw.replace(b"pbag", b"junk"),
    }
    for message, content in forged.items():
        (tmp_path / "x.sf2").write_bytes(content)
        with pytest.raises(IntakeError, match=message):
            reading.read(tmp_path / "x.sf2", "x.sf2", tmp_path / "out", Limits())
    (tmp_path / "x.sf2").write_bytes(b"RIFF" + struct.pack("<I", 4 + 8 * 5000) + b"sfbk" + b"junk\0\0\0\0" * 5000)
    with pytest.raises(IntakeError, match="more than 1,000 chunks"):
        reading.read(tmp_path / "x.sf2", "x.sf2", tmp_path / "out", Limits())
