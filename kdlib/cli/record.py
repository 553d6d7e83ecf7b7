"""The command line of what ships beside the code: record the race of the start page, or the reports on teachers."""

import argparse
import json
import os
import platform
import sys
import time
from pathlib import Path

import kdlib
from kdlib import runs
from kdlib.cache import atomic_path
from kdlib.names import ROLES
from kdlib.recording import FOLDER, Recording, save_recording
from kdlib.spec import BASELINE, RAW, RunSpec
from kdlib.store import DONE

RECORDED = {
    "race": "race: baseline, raw and compressed on the engine, shown on Start before a first race.",
    "reports": "reports: what the built-in teachers know of the built-in datasets.",
}


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Add the command to a parser; it sets `handler`, which returns the exit code."""
    text = (record.__doc__ or "").strip()
    added = commands.add_parser("record", help=text, description=text)
    added.add_argument("what", nargs="?", choices=tuple(RECORDED), default="race", help=" ".join(RECORDED.values()))
    added.add_argument("--folder", type=Path, default=FOLDER, help="where to write it (default: into the package)")
    added.set_defaults(handler=record)


def record(arguments: argparse.Namespace) -> int:
    """Make what ships with the package again: the recorded race, or the reports on the built-in teachers."""
    return record_reports(arguments.folder) if arguments.what == "reports" else record_race(arguments.folder)


def record_reports(folder: Path) -> int:
    """Write what the built-in teachers know of the built-in datasets."""
    from kdlib.analysis import teacher_probes, teacher_report

    shipped = teacher_report.list_shipped()
    folder.mkdir(exist_ok=True)
    with atomic_path(folder / teacher_probes.SHIPPED.name) as temporary:
        temporary.write_text(json.dumps(shipped, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(f"{sum(map(len, shipped.values()))} reports on {len(shipped)} datasets\n")
    return 0


def record_race(folder: Path) -> int:
    """Run the race of the start page on the engine, and keep it as the recorded race shown before a first one."""
    from kdlib.models import embedding
    from kdlib.spaces.formation import load_formation

    base, began = RunSpec(), time.time()
    embedding.embed(base.teacher, base.dataset)  # as the app has it before a first race
    specs = [base.replace(method=method) for method in (RAW, base.method, BASELINE)]  # in the order of the start page
    runs_made = [runs.get(run_id) for run_id in runs.launch(specs, name="Race to be recorded")]
    for run in runs_made:
        for latest, _ in runs.watch(run.id):
            sys.stderr.write(f"\r{run.spec.method}: {latest.state}, {latest.progress_label}   ")
    infos = {run.spec.method: runs.get(run.id) for run in runs_made}
    sys.stderr.write("\n")
    if any(info.state != DONE for info in infos.values()):
        raise ValueError("the race did not come to its end, so there is nothing to record")
    results = [runs.result(infos[method].id) for method in (BASELINE, RAW, base.method)]
    formation = load_formation(infos[base.method].id)
    if formation is None or len(results) != len(ROLES):
        raise ValueError("the race left no snapshots of its spaces, so there is nothing to record")
    ends = [info.ended for info in infos.values() if info.ended]
    seconds = max(ends) - min(info.submitted for info in infos.values())
    recording = Recording(results, formation, began, describe_machine(), kdlib.__version__, seconds, len(formation.raw))
    save_recording(recording, folder)
    sys.stdout.write(f"{recording.describe()}\n")
    return 0


def describe_machine() -> str:
    """Return processor and number of cores, in words."""
    name = platform.processor() or platform.machine()
    cpu = Path("/proc/cpuinfo")
    if cpu.exists():
        lines = cpu.read_text(encoding="utf-8", errors="replace").splitlines()
        name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), name)
    cores = os.cpu_count() or 1
    return f"{name}, {cores} core{'s' if cores > 1 else ''}"
