"""The command line of what leaves the lab, and comes back: export, import-student."""

import argparse
from pathlib import Path

from kdlib import runs
from kdlib.cli.output import errors, print_lines


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Add the commands to a parser; each sets `handler`, which returns the exit code."""
    text = (export.__doc__ or "").strip()
    exporting = commands.add_parser("export", help=text, description=text)
    exporting.set_defaults(handler=export)
    exporting.add_argument("run", metavar="RUN", help="id, beginning of an id, or name")
    exporting.add_argument(
        "--seed", default="best", metavar="best|N|ensemble", help="which student (default: the best by validation)"
    )
    exporting.add_argument(
        "--to", type=Path, metavar="FOLDER|ZIP", help="where (default: a folder named after the run)"
    )
    exporting.add_argument("--int8", action="store_true", help="add a quantised graph, with its accuracy")
    text = (import_student.__doc__ or "").strip()
    importing = commands.add_parser("import-student", help=text, description=text)
    importing.set_defaults(handler=import_student)
    importing.add_argument("path", type=Path, metavar="FOLDER|ZIP", help="an export")
    importing.add_argument("--name", default="", help="what to call the run (default: as in the export)")


def export(arguments: argparse.Namespace) -> int:
    """Write a trained student as files that run anywhere: ONNX, weights, a program that predicts, a model card."""
    run = runs.find(arguments.run)
    with errors.status("Exporting"):
        from kdlib.export import export_student
        from kdlib.export.folder import folder_name

        written = export_student(run.id, arguments.to or folder_name(run.name), arguments.seed, int8=arguments.int8)
    far, size = written.measured.agreement, sum(written.files.values())
    errors.print(
        f"{len(written.files)} files, {size / 1000:,.0f} kB; on {far.items:,} test items the graph differs from torch "
        f"by at most {far.probabilities:.1g} in a probability",
        markup=False,
    )
    print_lines(str(written.path))
    return 0


def import_student(arguments: argparse.Namespace) -> int:
    """Make a run of an exported student, and print its id."""
    with errors.status("Reading"):
        from kdlib.export.returning import import_student as make_run

        run_id = make_run(arguments.path, arguments.name)
    print_lines(run_id)
    return 0
