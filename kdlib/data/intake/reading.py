"""What the child process does: identify a file, read it, write plain arrays."""

from collections.abc import Callable
from pathlib import Path

from kdlib.data.intake import arrays, font_notes, magnatagatune, media, openmic
from kdlib.data.intake.archives import Archive, Member
from kdlib.data.intake.arrays import Writer
from kdlib.data.intake.contents import Contents
from kdlib.data.intake.formats import InputFormat
from kdlib.data.intake.kinds import HEAD_BYTES, IMAGES, SOUNDS, identify, suffix
from kdlib.data.intake.limits import MB, IntakeError, Limits
from kdlib.data.intake.progress import Reporter

LAYOUTS: dict[str, Callable[[Path, str, Writer, InputFormat], Contents]] = {
    "openmic": openmic.read,
    "magnatagatune": magnatagatune.read,
    "soundfont": font_notes.read,
}


def read(
    path: Path,
    name: str,
    out: Path,
    limits: Limits,
    reporter: Reporter | None = None,
    form: InputFormat | None = None,
    layout: str = "",
) -> Contents:
    """Read a file or folder into `out` and return what it holds.

    Args:
        path: the file or folder.
        name: shown in messages.
        out: an empty folder; afterwards it holds one .npy per column.
        limits: what may be read.
        reporter: receives every item read.
        form: in which a student gets pictures and recordings.
        layout: one of `LAYOUTS`; "" goes by what the file holds.

    Raises:
        IntakeError: it is refused.
    """
    writer, form = Writer(out, limits, reporter or Reporter()), form or InputFormat()
    if layout:
        return LAYOUTS[layout](path, name, writer, form)
    if path.is_dir():
        return _read_media(Archive(path, limits, name), writer, form)
    with path.open("rb") as stream:
        kind = identify(name, stream.read(HEAD_BYTES))
        if kind == "npy":
            stream.seek(0)
            arrays.read_array(stream, path.stat().st_size, Path(name).stem, writer)
    first_line = 0
    if kind == "zip":
        archive = Archive(path, limits, name)
        if not _holds_arrays(archive):
            return _read_media(archive, writer, form)
        arrays.read_npz(archive, writer)
    elif kind == "soundfont":
        return font_notes.read(path, name, writer, form)
    elif kind == "parquet" or (kind == "csv" and suffix(name) in ("csv", "tsv", "txt", "")):
        first_line = _read_rows(path, kind, writer)
    elif kind != "npy":
        raise IntakeError(_explain_kind(name, kind))
    return Contents("table", _check_lengths(writer), writer.columns, first_line=first_line)


def _read_rows(path: Path, kind: str, writer: Writer) -> int:
    """Read a CSV or a parquet file; return the line of its first row, 0 where rows are not lines."""
    from kdlib.data.intake import tables  # loading pyarrow takes longer than most refusals

    if kind == "csv":
        return tables.read_csv(path, writer)
    tables.read_parquet(path, writer)
    return 0


def _holds_arrays(archive: Archive) -> bool:
    """Return whether a zip is an .npz and not a zip of recordings or pictures.

    Raises:
        IntakeError: it is empty, or a torch file.
    """
    if not archive.members:
        raise IntakeError(f"{archive.name} is an archive without files")
    if any(member.name.endswith("data.pkl") for member in archive.members):
        raise IntakeError(
            f"{archive.name} is a torch file with a pickle in it: pickles can run code and are never opened; "
            "save .npz or .safetensors"
        )
    return all(member.name.endswith(".npy") for member in archive.members)


def _explain_kind(name: str, kind: str) -> str:
    """Return why a file of a kind that is not read by itself is refused."""
    if kind in SOUNDS | IMAGES:
        return (
            f"{name} is a single {kind}; put the files into one zip or folder, with labels in their names or in a table"
        )
    holds = {"csv": "text", "unknown": "something unknown"}.get(kind, f"a {kind}")
    return (
        f"{name} is {holds}; what can be read: .npz, .npy, .parquet, .csv, a sound font (.sf2), "
        "or a zip or folder of recordings or pictures"
    )


def _check_lengths(writer: Writer) -> int:
    """Return the number of rows, once all columns agree. A column `classes` only names the classes.

    Raises:
        IntakeError: columns differ in length, or two have the same name.
    """
    columns = [column for column in writer.columns if column.name != "classes"]
    names = [column.name for column in columns]
    if len(set(names)) != len(names):
        raise IntakeError(f"two columns have the same name: {next(name for name in names if names.count(name) > 1)!r}")
    lengths = {column.name: column.shape[0] for column in columns}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{name} {length:,}" for name, length in lengths.items())
        raise IntakeError(f"all columns need the same number of rows, got {listed}")
    return next(iter(lengths.values()), 0)


def _read_media(archive: Archive, writer: Writer, form: InputFormat) -> Contents:
    members = media.sort_members(archive, writer.reporter)
    items = members.sounds or members.images
    if not items:
        raise IntakeError("there are no recordings (wav, flac, ogg, mp3) or pictures (png, jpeg, bmp, webp) in it")
    notes, rate, input_rate = [], 0, 0
    if members.others:
        notes.append(f"{len(members.others)} other files are left out, such as {members.others[0]!r}")
    writer.reporter.begin(len(items), len(items))
    writer.write_text("file", [member.name for member in items])
    folders = [Path(member.name).parent.name for member in items]
    if len(set(folders)) > 1:
        writer.write_text("folder", folders)
    if members.sounds:
        from kdlib.data.intake.recordings import read_sounds  # loads the decoder only where it is needed

        originals, rate, input_rate = read_sounds(archive, items, writer, form)
    else:
        from kdlib.data.intake.pictures import read_images

        originals = read_images(archive, items, writer, form)
    tables = [
        _read_table(archive, table, writer.folder / f"table-{number}", writer)
        for number, table in enumerate(members.tables)
    ]
    kind = "sounds" if members.sounds else "images"
    return Contents(
        kind, _check_lengths(writer), writer.columns, notes, rate, input_rate, originals=originals, tables=tables
    )


def _read_table(archive: Archive, member: Member, folder: Path, writer: Writer) -> Contents:
    """Return what a table inside an archive holds; its bytes are first copied to a file with a plain name."""
    if member.size > writer.limits.array_mb * MB:
        raise IntakeError(f"{member.name!r} is larger than {writer.limits.array_mb} MB (KDLIB_MAX_ARRAY_MB)")
    folder.mkdir()
    copy = folder / "copy"
    copy.write_bytes(archive.read(member))
    contents = read(copy, Path(member.name).name, folder, writer.limits, writer.reporter)
    copy.unlink()
    contents.name, contents.folder = member.name, folder.name
    return contents
