"""Zips and folders as lists of members, none of which is ever unpacked to disk under its own name."""

import stat
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import IO, Protocol

from kdlib.data.intake.limits import MB, IntakeError, Limits

LOCAL_HEADER = struct.Struct("<4s5H3I2H")
UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    OverflowError,
    struct.error,
)
SKIPPED = ("__MACOSX/", ".DS_Store", "Thumbs.db")


@dataclass(frozen=True)
class Member:
    """A file in a zip or a folder: its name there and its size in bytes, as declared."""

    name: str
    size: int


class Container(Protocol):
    """Something with members that can be read one by one: an archive, or a sound font."""

    def read(self, member: Member) -> bytes:
        """Return the bytes of a member."""
        ...

    def open(self, member: Member) -> AbstractContextManager[IO[bytes]]:
        """Yield a stream of a member's bytes."""
        ...


class Archive:
    """The members of a zip or a folder, checked before anything is read.

    Args:
        path: of the zip or the folder.
        limits: what may be read.
        name: shown in messages.

    Raises:
        IntakeError: it is dangerous, damaged or too large; the message names the entry.
    """

    def __init__(self, path: Path, limits: Limits, name: str) -> None:
        self.path, self.limits, self.name = path, limits, name
        self.zip: zipfile.ZipFile | None = None
        if path.is_dir():
            self.members = _list_folder(path, limits)
        else:
            try:
                self.zip = zipfile.ZipFile(path)
            except (*UNREADABLE, OSError) as error:
                raise IntakeError(f"{name} is not a whole zip archive: it is damaged or cut off") from error
            self.members = _list_zip(self.zip, path, limits)
        folded: dict[str, str] = {}
        for member in self.members:
            other = folded.setdefault(_fold(member.name), member.name)
            if other is not member.name:
                raise IntakeError(
                    f"the names {other!r} and {member.name!r} are the same on many systems, which do not tell "
                    "large from small letters, or two ways to write an accent, apart; rename one"
                )

    def read(self, member: Member) -> bytes:
        """Return the bytes of a member, at most as many as it declares.

        Raises:
            IntakeError: there are more or fewer than declared, or they are damaged.
        """
        with self.open(member) as stream:
            content = stream.read(member.size + 1)
        if len(content) != member.size:
            held = "more" if len(content) > member.size else len(content)
            raise IntakeError(f"{member.name!r} declares {member.size:,} bytes but holds {held}")
        return content

    @contextmanager
    def open(self, member: Member) -> Iterator[IO[bytes]]:
        """Yield a stream of a member's bytes."""
        try:
            with self.zip.open(member.name) if self.zip else (self.path / member.name).open("rb") as stream:
                yield stream
        except IntakeError:  # raised by the caller, who reads the stream
            raise
        except UNREADABLE as error:
            raise IntakeError(
                f"{member.name!r} cannot be unpacked: it is damaged, cut off, or not as large as declared"
            ) from error


def _fold(name: str) -> str:
    """Return the same text for all names that a file system may treat as one."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _check_name(name: str) -> str:
    """Return the name of a member if it stays inside the archive."""
    parts = PurePosixPath(name).parts
    if name.startswith(("/", "\\")) or "\\" in name or (len(name) > 1 and name[1] == ":") or ".." in parts:
        raise IntakeError(f"the entry {name!r} points outside the archive")
    if any(ord(letter) < 32 for letter in name):
        raise IntakeError(f"the entry {name!r} has control characters in its name")
    return name


def _list_folder(path: Path, limits: Limits) -> list[Member]:
    members = []
    for entry in sorted(path.rglob("*")):
        name = entry.relative_to(path).as_posix()
        if entry.is_symlink():
            raise IntakeError(f"{name!r} is a symbolic link; copy the file itself")
        if entry.is_file() and not name.endswith(SKIPPED):
            members.append(Member(_check_name(name), entry.stat().st_size))
        if len(members) > limits.members:
            raise IntakeError(f"the folder holds more than {limits.members:,} files (KDLIB_MAX_MEMBERS)")
    return members


def _list_zip(archive: zipfile.ZipFile, path: Path, limits: Limits) -> list[Member]:
    entries = archive.infolist()
    if len(entries) > limits.members:
        raise IntakeError(
            f"the archive has {len(entries):,} entries, at most {limits.members:,} can be read (KDLIB_MAX_MEMBERS)"
        )
    total, members, spans = 0, [], []
    largest = max(limits.dataset_mb, limits.originals_mb)  # what they hold has a limit of its own where it is decoded
    with path.open("rb") as raw:
        for entry in entries:
            _check_entry(entry)
            total += entry.file_size
            if total > largest * MB:
                raise IntakeError(
                    f"together the entries up to {entry.filename!r} unpack to more than {largest:,} MB "
                    "(KDLIB_MAX_ORIGINALS_MB); on the command line, import --large reads more"
                )
            spans.append((*_span(raw, entry), entry.filename))
            skipped = entry.filename.startswith(SKIPPED[0]) or entry.filename.endswith(SKIPPED[1:])
            if not entry.is_dir() and not skipped:
                members.append(Member(entry.filename, entry.file_size))
    spans.sort()
    for (_, end, before), (start, _, name) in pairwise(spans):
        if start < end:
            raise IntakeError(f"the entries {before!r} and {name!r} overlap in the archive")
    return members


def _check_entry(entry: zipfile.ZipInfo) -> None:
    """Return if an entry has a harmless name and is a plain file that can be unpacked; else raise an `IntakeError`."""
    _check_name(entry.orig_filename)
    if entry.flag_bits & 0x1:
        raise IntakeError(f"the entry {entry.filename!r} is encrypted; save the archive without a password")
    if stat.S_ISLNK(entry.external_attr >> 16):
        raise IntakeError(f"the entry {entry.filename!r} is a symbolic link")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise IntakeError(f"the entry {entry.filename!r} is compressed in a way that is not read; use plain deflate")


def _span(raw: IO[bytes], entry: zipfile.ZipInfo) -> tuple[int, int]:
    """Return where an entry begins and ends in the archive, by its own header."""
    raw.seek(entry.header_offset)
    header = raw.read(LOCAL_HEADER.size)
    if len(header) < LOCAL_HEADER.size or header[:4] != b"PK\x03\x04":
        raise IntakeError(f"the entry {entry.filename!r} is not where the archive says")
    name, extra = LOCAL_HEADER.unpack(header)[-2:]
    return entry.header_offset, entry.header_offset + LOCAL_HEADER.size + name + extra + entry.compress_size
