"""What the child process does: find out what a file is, read it, write plain arrays and one JSON."""

import json
from pathlib import Path
from typing import Any

from kdlib.data.intake import arrays, media
from kdlib.data.intake.archives import Member, Source
from kdlib.data.intake.arrays import Writer
from kdlib.data.intake.kinds import HEAD_BYTES, IMAGES, SOUNDS, identify, suffix
from kdlib.data.intake.limits import MB, IntakeError, Limits, describe_os_error
from kdlib.data.intake.progress import Reporter

ANSWER = "answer.json"


def read(path: Path, name: str, out: Path, limits: Limits, reporter: Reporter | None = None) -> dict[str, Any]:
    """Read a file or folder into `out` and return what was understood, as JSON can hold it.

    Args:
        path: the file.
        name: what its owner calls it.
        out: an empty folder; afterwards it holds one .npy per column.
        limits: what it may ask for.
        reporter: is told of every item read.

    Raises:
        IntakeError: it is refused.
    """
    writer = Writer(out, limits, reporter or Reporter())
    if path.is_dir():
        return _media(Source(path, limits, name), writer)
    with path.open("rb") as stream:
        kind = identify(name, stream.read(HEAD_BYTES))
    told: dict[str, Any] = {"kind": "table", "notes": []}
    if kind == "npy":
        with path.open("rb") as stream:
            arrays.read_array(stream, path.stat().st_size, Path(name).stem, writer)
    elif kind == "zip":
        source = Source(path, limits, name)
        if not source.members:
            raise IntakeError(f"{name} is an archive without files")
        if any(member.name.endswith("data.pkl") for member in source.members):
            raise IntakeError(
                f"{name} is a torch file with a pickle in it: pickles can run code and are never opened; save .npz or .safetensors"
            )
        if not all(member.name.endswith(".npy") for member in source.members):
            return _media(source, writer)
        arrays.read_npz(source, writer)
    elif kind == "parquet" or (kind == "csv" and suffix(name) in ("csv", "tsv", "txt", "")):
        from kdlib.data.intake import tables  # pyarrow takes longer to load than most refusals take

        if kind == "csv":
            told["first_line"] = tables.read_csv(path, writer)
        else:
            tables.read_parquet(path, writer)
    elif kind in SOUNDS | IMAGES:
        raise IntakeError(
            f"{name} is a single {kind}; put the files into one zip or folder, with labels in their names or in a table"
        )
    else:
        kind = {"csv": "text", "unknown": "something unknown"}.get(kind, f"a {kind}")
        raise IntakeError(
            f"{name} is {kind}; what can be read: .npz, .npy, .parquet, .csv, or a zip or folder of recordings or pictures"
        )
    return told | _lengths(writer)


def _lengths(writer: Writer) -> dict[str, Any]:
    """Return the columns, once they agree in length. A column `classes` only names the classes."""
    columns = [column for column in writer.columns if column.name != "classes"]
    names = [column.name for column in columns]
    if len(set(names)) != len(names):
        raise IntakeError(f"two columns have the same name: {next(name for name in names if names.count(name) > 1)!r}")
    lengths = {column.name: column.shape[0] for column in columns}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} {length:,}" for name, length in lengths.items())
        raise IntakeError(f"all columns need the same number of rows, got {told}")
    return {"rows": next(iter(lengths.values()), 0), "columns": [column.told() for column in writer.columns]}


def _media(source: Source, writer: Writer) -> dict[str, Any]:
    found, others = media.members(source, writer.reporter)
    items = found["sounds"] or found["images"]
    if not items:
        raise IntakeError("there are no recordings (wav, flac, ogg, mp3) or pictures (png, jpeg, bmp, webp) in it")
    told: dict[str, Any] = {"kind": "sounds" if found["sounds"] else "images", "notes": [], "tables": []}
    if others:
        told["notes"].append(f"{len(others)} other files are left out, such as {others[0]!r}")
    writer.reporter.begin(len(items), len(items))
    writer.write_text("file", [member.name for member in items])
    folders = [Path(member.name).parent.name for member in items]
    if len(set(folders)) > 1:
        writer.write_text("folder", folders)
    if found["sounds"]:
        from kdlib.data.intake.recordings import read_sounds  # what decodes is loaded for those alone who need it

        told["rate"] = read_sounds(source, items, writer)
    else:
        from kdlib.data.intake.pictures import read_images

        read_images(source, items, writer)
    for number, table in enumerate(found["tables"]):
        told["tables"].append(_table(source, table, writer.folder / f"table-{number}", writer))
    return told | _lengths(writer)


def _table(source: Source, member: Member, folder: Path, writer: Writer) -> dict[str, Any]:
    """Return what a table inside an archive holds; its bytes are copied to a plain name first."""
    if member.size > writer.limits.array_mb * MB:
        raise IntakeError(f"{member.name!r} is larger than {writer.limits.array_mb} MB (KDLIB_MAX_ARRAY_MB)")
    folder.mkdir()
    copy = folder / "copy"
    copy.write_bytes(source.read(member))
    told = read(copy, Path(member.name).name, folder, writer.limits, writer.reporter)
    copy.unlink()
    return told | {"name": member.name, "folder": folder.name}


def answer(path: Path, name: str, out: Path, limits: Limits, reporter: Reporter) -> None:
    """Read and write `answer.json`: what was understood, or {"refused": why}."""
    try:
        told = read(path, name, out, limits, reporter)
    except IntakeError as error:
        told = {"refused": str(error)}
    except MemoryError:
        told = {"refused": f"{name} needs more than {limits.memory_mb:,} MB of memory to be read (KDLIB_MAX_MEMORY_MB)"}
    except OSError as error:
        told = {"refused": f"{name} cannot be read: {describe_os_error(error)}"}
    (out / ANSWER).write_text(json.dumps(told), encoding="utf-8")
