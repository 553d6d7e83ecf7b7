"""What a file is, by its first bytes and never by its name alone."""

from pathlib import PurePosixPath

from kdlib.data.intake.limits import IntakeError

HEAD_BYTES = 512  # bytes from which the kind is read
SOUNDS, IMAGES = {"wav", "flac", "ogg", "mp3"}, {"png", "jpeg", "bmp", "webp"}
SUFFIX_KINDS = {  # kinds that a file with this ending may be
    "wav": {"wav"},
    "flac": {"flac"},
    "ogg": {"ogg"},
    "oga": {"ogg"},
    "mp3": {"mp3"},
    "png": {"png"},
    "jpg": {"jpeg"},
    "jpeg": {"jpeg"},
    "bmp": {"bmp"},
    "webp": {"webp"},
    "csv": {"csv"},
    "tsv": {"csv"},
    "parquet": {"parquet"},
    "npy": {"npy"},
    "npz": {"zip"},
    "zip": {"zip"},
    "sf2": {"soundfont"},
}
LAYOUTS = {  # published formats that are read as they come
    "openmic": "the folder of OpenMIC-2018",
    "magnatagatune": "the folder of MagnaTagATune",
    "soundfont": "a sound font (.sf2), cut into its notes",
}
PICKLE_SUFFIXES = {"pkl", "pickle", "pt", "pth", "joblib", "ckpt", "dill"}  # usual endings of pickles
PICKLE_MESSAGE = "pickles can run code and are never opened; save the numbers as .npz, .parquet or .csv instead"


def suffix(name: str) -> str:
    """Return the part of a file name after the last dot, in small letters."""
    return PurePosixPath(name).suffix.lower().lstrip(".")


def sniff(head: bytes) -> str:
    """Return the kind that the first bytes show: "npy", "zip", ..., "pickle", "csv" for text, "empty" or "unknown"."""
    starts = {
        b"\x93NUMPY": "npy",
        b"PK\x03\x04": "zip",
        b"PK\x05\x06": "zip",
        b"PAR1": "parquet",
        b"fLaC": "flac",
        b"OggS": "ogg",
        b"ID3": "mp3",
        b"\x89PNG\r\n\x1a\n": "png",
        b"\xff\xd8\xff": "jpeg",
        b"BM": "bmp",
        b"\x1f\x8b": "gzip archive",
        b"7z\xbc\xaf": "7z archive",
        b"Rar!": "rar archive",
        b"\x89HDF": "HDF5 file",
        b"GIF8": "GIF",
        b"%PDF": "PDF",
        b"\x7fELF": "program",
    }
    if not head:
        return "empty"
    if head[:4] == b"RIFF":
        return {b"WAVE": "wav", b"WEBP": "webp", b"sfbk": "soundfont"}.get(head[8:12], "unknown")
    if head[0] == 0x80 and len(head) > 1 and head[1] <= 5:
        return "pickle"
    for start, kind in starts.items():
        if head.startswith(start) and not (kind == "bmp" and _is_text(head)):
            return kind
    if head[0] == 0xFF and len(head) > 1 and head[1] & 0xE6 == 0xE2:  # an MPEG frame of layer III
        return "mp3"
    return "csv" if _is_text(head) else "unknown"


def _is_text(head: bytes) -> bool:
    return not any(byte < 9 or 13 < byte < 32 for byte in head)


def identify(name: str, head: bytes) -> str:
    """Return the kind of a file, as `sniff` does, if its name does not contradict it.

    Raises:
        IntakeError: it is empty, a pickle, or not what its name says.
    """
    kind, ending = sniff(head), suffix(name)
    if kind == "empty":
        raise IntakeError(f"{name} is empty (0 bytes)")
    if kind == "pickle" or ending in PICKLE_SUFFIXES:
        raise IntakeError(f"{name} is a pickle: {PICKLE_MESSAGE}")
    if ending in SUFFIX_KINDS and kind not in SUFFIX_KINDS[ending]:
        holds = {"csv": "text", "unknown": "something unknown"}.get(kind, f"a {kind}")
        raise IntakeError(f"{name} is named .{ending} but holds {holds}: wrong extension, or a damaged file")
    return kind
