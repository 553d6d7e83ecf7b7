"""What a zip or folder of recordings or pictures holds, each member told by its content."""

from pathlib import PurePosixPath

from kdlib.data.intake.archives import Member, Source
from kdlib.data.intake.kinds import HEAD_BYTES, IMAGES, SOUNDS, identify
from kdlib.data.intake.limits import IntakeError
from kdlib.data.intake.progress import Reporter


def members(source: Source, reporter: Reporter) -> tuple[dict[str, list[Member]], list[str]]:
    """Return "sounds", "images" and "tables" -> members, and the names of what is none of these.

    Raises:
        IntakeError: an entry is empty, an archive, a pickle, or not what its name says.
    """
    found: dict[str, list[Member]] = {"sounds": [], "images": [], "tables": []}
    others = []
    for member in source.members:
        reporter.advance()
        with source.open(member) as stream:
            kind = identify(member.name, stream.read(HEAD_BYTES))
        if kind in ("zip", "npy") or kind.endswith("archive"):
            raise IntakeError(f"the entry {member.name!r} is a {kind} inside; unpack it and import it by itself")
        ending = PurePosixPath(member.name).suffix.lower()
        if kind in SOUNDS or kind in IMAGES:
            found["sounds" if kind in SOUNDS else "images"].append(member)
        elif ending in (".csv", ".tsv", ".parquet"):
            found["tables"].append(member)
        else:
            others.append(member.name)
    if found["sounds"] and found["images"]:
        told = f"{len(found['sounds'])} recordings and {len(found['images'])} pictures"
        raise IntakeError(f"there are {told} ({found['images'][0].name!r}); import one kind at a time")
    return found, others
