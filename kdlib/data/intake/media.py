"""What a zip or folder of recordings or pictures holds, each member identified by its content."""

from dataclasses import dataclass, field
from pathlib import PurePosixPath

from kdlib.data.intake.archives import Archive, Member
from kdlib.data.intake.kinds import HEAD_BYTES, IMAGES, SOUNDS, identify
from kdlib.data.intake.limits import IntakeError
from kdlib.data.intake.progress import Reporter


@dataclass
class Members:
    """Members of an archive by kind, and the names of those that are not read."""

    sounds: list[Member] = field(default_factory=list)
    images: list[Member] = field(default_factory=list)
    tables: list[Member] = field(default_factory=list)
    others: list[str] = field(default_factory=list)


def sort_members(archive: Archive, reporter: Reporter) -> Members:
    """Return the members by kind.

    Raises:
        IntakeError: one is empty, an archive, a pickle, or not what its name says; or recordings and pictures are
            mixed.
    """
    members = Members()
    for member in archive.members:
        reporter.advance()
        with archive.open(member) as stream:
            kind = identify(member.name, stream.read(HEAD_BYTES))
        if kind in ("zip", "npy") or kind.endswith("archive"):
            raise IntakeError(f"the entry {member.name!r} is a {kind} inside; unpack it and import it by itself")
        if kind in SOUNDS:
            members.sounds.append(member)
        elif kind in IMAGES:
            members.images.append(member)
        elif PurePosixPath(member.name).suffix.lower() in (".csv", ".tsv", ".parquet"):
            members.tables.append(member)
        else:
            members.others.append(member.name)
    if members.sounds and members.images:
        mixed = f"{len(members.sounds)} recordings and {len(members.images)} pictures"
        raise IntakeError(f"there are {mixed} ({members.images[0].name!r}); import one kind at a time")
    return members
