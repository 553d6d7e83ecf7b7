"""A writer of small sound fonts (.sf2) for tests, and of ones that lie about what they hold."""

import struct
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

MONO, RIGHT, LEFT = 1, 2, 4
GENERATORS = {"velocities": 44, "keys": 43, "root": 58}


@dataclass
class Zone:
    """What a zone plays (a sample, or an instrument), and its generators by name."""

    plays: int
    generators: dict[str, int | tuple[int, int]] = field(default_factory=dict)


@dataclass
class FontFile:
    """What a font is to hold: samples (name, numbers, rate, key, type), instruments, presets (name, program, bank)."""

    samples: list[tuple[str, np.ndarray, int, int, int]] = field(default_factory=list)
    instruments: list[tuple[str, list[Zone]]] = field(default_factory=list)
    presets: list[tuple[str, int, int, list[Zone]]] = field(default_factory=list)

    def add_program(self, program: int, keys: list[int], seconds: float = 0.3, kind: int = MONO, bank: int = 0) -> None:
        """Add a program with an instrument of its own and a recording per key, of that pitch."""
        first = len(self.samples)
        for key in keys:
            time = np.arange(int(8000 * seconds)) / 8000
            wave = np.sin(2 * np.pi * 440 * 2 ** ((key - 69) / 12) * time) * (0.4 + 0.1 * (program % 5))
            self.samples.append((f"p{program} k{key}", wave, 8000, 60, kind))
        zones = [Zone(first + place, {"root": key}) for place, key in enumerate(keys)]
        self.instruments.append((f"instrument {program}", zones))
        self.presets.append((f"Program {program}", program, bank, [Zone(len(self.instruments) - 1)]))

    def tables(self) -> dict[str, bytes]:
        """Return the chunks of the list `pdta`, and `smpl`."""
        waves, shdr = b"", b""
        for name, wave, rate, key, kind in self.samples:
            start = len(waves) // 2
            waves += (32767 * np.clip(wave, -1, 1)).astype("<i2").tobytes()
            end = len(waves) // 2
            shdr += struct.pack("<20sIIIIIBbHH", name.encode(), start, end, start, end, rate, key, 0, 0, kind)
            waves += bytes(92)  # 46 numbers of silence after each, as the specification asks
        ibag, igen, inst = _zones([zones for _, zones in self.instruments], 53)
        pbag, pgen, preset_bags = _zones([zones for *_, zones in self.presets], 41)
        names = [*(name for name, _ in self.instruments), "EOI"]
        presets = [*((name, program, bank) for name, program, bank, _ in self.presets), ("EOP", 0, 0)]
        return {
            "smpl": waves,
            "phdr": b"".join(
                struct.pack("<20sHHHIII", name.encode(), program, bank, bag, 0, 0, 0)
                for (name, program, bank), bag in zip(presets, preset_bags, strict=True)
            ),
            "pbag": pbag,
            "pgen": pgen,
            "inst": b"".join(struct.pack("<20sH", name.encode(), bag) for name, bag in zip(names, inst, strict=True)),
            "ibag": ibag,
            "igen": igen,
            "shdr": shdr + struct.pack("<20sIIIIIBbHH", b"EOS", *[0] * 9),
        }

    def write(self, path: Path, **replaced: bytes) -> None:
        """Write the font; some of its chunks may be replaced."""
        tables = self.tables() | replaced
        inside = _list(b"sdta", _chunk(b"smpl", tables.pop("smpl")))
        inside += _list(b"pdta", b"".join(_chunk(tag.encode(), content) for tag, content in tables.items()))
        inside = b"sfbk" + _list(b"INFO", _chunk(b"ifil", struct.pack("<HH", 2, 1))) + inside
        path.write_bytes(b"RIFF" + struct.pack("<I", len(inside)) + inside)


def _chunk(tag: bytes, content: bytes) -> bytes:
    return tag + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)


def _list(kind: bytes, content: bytes) -> bytes:
    return _chunk(b"LIST", kind + content)


def _zones(lists: list[list[Zone]], link: int) -> tuple[bytes, bytes, list[int]]:
    """Return bags, generators and the first bag of each list and of the end."""
    bags, generators, firsts = b"", b"", []
    for zones in lists:
        firsts.append(len(bags) // 4)
        for zone in zones:
            bags += struct.pack("<HH", len(generators) // 4, 0)
            for name, amount in zone.generators.items():
                low, high = amount if isinstance(amount, tuple) else (amount & 0xFF, amount >> 8)
                generators += struct.pack("<HBB", GENERATORS[name], low, high)
            if zone.plays >= 0:
                generators += struct.pack("<HH", link, zone.plays)
    firsts.append(len(bags) // 4)
    return bags + struct.pack("<HH", len(generators) // 4, 0), generators + bytes(4), firsts


def small_font() -> FontFile:
    """A font of two families, piano and guitar, four instruments each with notes of twelve pitches."""
    font = FontFile()
    for program in (0, 1, 2, 3, 24, 25, 26, 27):
        font.add_program(program, list(range(48, 84, 3)))
    return font
