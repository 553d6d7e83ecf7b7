"""The picture on Start: the chain as a funnel, the race, the spaces that form, what is kept and what is thrown away.

Everything that is shown at a moment belongs to one epoch, the last that all three trainings have reached.
`assets/story/` draws it.
"""

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st
from PIL import Image
from streamlit.components.v2 import component

from kdlib.analysis.estimates import common_epoch, scores_at
from kdlib.colours import COLOURS, PALETTE
from kdlib.names import METHODS, ROLES, TEACHERS, method_role, run_name
from kdlib.recording import Formation, Recording
from kdlib.results import Point, RunResult
from kdlib.spec import RunSpec
from kdlib.summary import Probe, Summary

ASSETS = Path(__file__).parent.parent / "assets"
PLAYING = 8.0  # seconds that a whole race takes when it is played
UNIT = 10_000  # places are sent as whole numbers
PANELS = {"raw": "Raw teacher", "compressed": "Compressed", "student": "Student"}
TARGETS = {RunSpec.dataset: "digit"}  # dataset -> what its target is called
SCRIPT = """
const { default: story } = await import(new URL("story/index.js", document.baseURI).href);
export default story;
"""
Step = dict[str, Any]


@st.cache_resource(show_spinner=False)
def _component() -> Callable[..., Any]:
    html, css = ((ASSETS / "story" / f"story.{kind}").read_text(encoding="utf-8") for kind in ("html", "css"))
    return component("kd_story", html=html, css=css, js=SCRIPT)


def show_recorded(recording: Recording) -> None:
    """Show a recorded race, which plays by itself."""
    specs = [result.spec for result in recording.results]
    steps = past_steps(recording.results, [result.history for result in recording.results], recording.formation)
    words = chain_words(specs[-1], recording.teacher_width, recording.results[-1].cost.parameters)
    show("recorded", specs, recording.formation, steps, words, recording.describe(), play=True)


def show(
    name: str,
    specs: Sequence[RunSpec],
    formation: Formation | None,
    steps: Sequence[Step],
    words: Mapping[str, str],
    status: str,
    *,
    play: bool = False,
) -> None:
    """Show a race.

    Args:
        name: of the race; where it changes, the picture begins anew.
        specs: of baseline, raw and compressed.
        formation: of the compressed run, as far as it is known.
        steps: what can be shown, the last of them first of all.
        words: from `chain_words`.
        status: what this is: recorded, live, over.
        play: whether it plays by itself.
    """
    data = {
        "id": name,
        "play": play,
        "seconds": PLAYING,
        "status": status,
        "picture": "" if formation is None else _png(formation.picture),
        "words": dict(words) | {"item": "" if formation is None else formation.label},
        "raw": [] if formation is None else _short(formation.raw),
        "compressed": [] if formation is None else [_short(row) for row in formation.compressed],
        "bars": [{"role": role, "name": run_name(spec), "colour": COLOURS[role]} for role, spec in _by_role(specs)],
        "kept": _kept_labels(specs[-1], formation),
        "panels": [{"name": name, "title": title, "colour": COLOURS[name]} for name, title in PANELS.items()],
        "places": "" if formation is None else pack_places(formation.places),
        "codes": [] if formation is None else formation.classes.tolist(),
        "colours": list(PALETTE),
        "classes": [] if formation is None else list(formation.class_names),
        "steps": list(steps),
    }
    _component()(key="story", data=data)


def _by_role(specs: Sequence[RunSpec]) -> list[tuple[str, RunSpec]]:
    return sorted(((method_role(spec), spec) for spec in specs), key=lambda pair: ROLES.index(pair[0]))


def chain_words(spec: RunSpec, teacher_width: int | str, parameters: int | str | None) -> dict[str, str]:
    """Return what replaces the placeholders of the picture."""
    measured = "Estimated while it trains, from 500 validation pictures of one seed."
    return {
        "teacher": spec.teacher,
        "teacher_plain": TEACHERS.get(spec.teacher, ""),
        "teacher_width": str(teacher_width),
        "method": spec.method,
        "method_plain": METHODS.get(spec.method, ""),
        "dim": str(spec.dim),
        "labels": f"{spec.labels:,}",
        "parameters": f"{parameters:,}" if isinstance(parameters, int) else "…",
        "told": "Pictures held back while training, all three after the same epoch.",
        "told_final": f"Test set: mean and 95 % interval, n = {spec.seeds} seeds.",
        "measured": measured,
        "measured_final": f"Measured on the test set by a linear probe, mean of {spec.seeds} seeds.",
    }


def live_step(
    specs: Sequence[RunSpec], histories: Sequence[Sequence[Point]], formation: Formation | None
) -> tuple[int, Step]:
    """Return the last epoch that all trainings have reached, and what is shown of it.

    Args:
        specs: of baseline, raw and compressed.
        histories: their points so far.
        formation: of the compressed run, up to that epoch.
    """
    epoch = common_epoch(histories)
    when = f"after epoch {epoch} of {specs[-1].epochs}" if epoch else "waiting for the first epoch of all three"
    frame = -1 if formation is None else len(formation.epochs) - 1
    return epoch, _step(when, scores_at(histories, epoch), formation, frame)


def past_steps(
    results: Sequence[RunResult], histories: Sequence[Sequence[Point]], formation: Formation | None
) -> list[Step]:
    """Return what can be shown of a race that is over: a step for each snapshot, and last the test set.

    Args:
        results: of baseline, raw and compressed.
        histories: their points.
        formation: of the compressed run; None where nothing was kept of it.
    """
    last = results[-1]
    steps = []
    for frame, epoch in enumerate([] if formation is None else formation.epochs.tolist()):
        when = f"after epoch {epoch} of {last.spec.epochs}" if epoch else "before training"
        steps.append(_step(when, scores_at(histories, epoch), formation, frame))
    scores = [result.score("test") for result in results]
    probes = probes_of(last)
    asked = list(probes) if formation is None else list(formation.known)
    before = [_mean(probes.get(name, Probe()).raw) for name in asked]
    after = [_mean(probes.get(name, Probe()).compressed) for name in asked]
    final = {
        "when": "measured",
        "bars": [score and score.mean for score in scores],
        "intervals": [score and score.ci95 for score in scores],
        "before": before,
        "after": after,
        "frame": len(steps) - 1,
        "final": True,
    }
    return [*steps, final]


def probes_of(result: RunResult) -> dict[str, Probe]:
    """Return "target" and each attribute -> what a probe reads from the spaces of a run."""
    return {"target": result.teacher.probe if result.teacher else Probe()} | result.attributes


def _mean(summary: Summary | None) -> float | None:
    return summary.mean if summary else None


def _step(when: str, bars: Sequence[float | None], formation: Formation | None, frame: int) -> Step:
    known = {} if formation is None else formation.known
    return {
        "when": when,
        "bars": list(bars),
        "intervals": [None] * len(bars),
        "before": [] if formation is None else [formation.known_raw[name] for name in known],
        "after": [round(float(values[frame]), 4) for values in known.values()],
        "frame": frame,
        "final": False,
    }


def _kept_labels(spec: RunSpec, formation: Formation | None) -> list[dict[str, Any]]:
    if formation is None:
        return []
    target = TARGETS.get(spec.dataset, "target")
    return [
        {"name": target if name == "target" else name, "chance": formation.chance.get(name)} for name in formation.known
    ]


def pack_places(places: Mapping[str, np.ndarray]) -> str:
    """Return maps as the picture takes them: base64 of little-endian 16-bit numbers, (t, panels, r, 2).

    Args:
        places: space -> (t, r, 2); a space that is missing is drawn empty, far outside.
    """
    first = next(iter(places.values()))
    stacked = np.stack([places.get(name, np.full_like(first, 3.2)) for name in PANELS], 1)
    whole = np.clip(np.round(np.nan_to_num(stacked) * UNIT), -32_767, 32_767).astype("<i2")
    return base64.b64encode(whole.tobytes()).decode()


def _short(values: np.ndarray) -> list[float]:
    return [round(float(value), 3) for value in values]


def _png(picture: np.ndarray) -> str:
    """Return a grey picture (h, w) in [0, 1] as a data address."""
    buffer = io.BytesIO()
    Image.fromarray((255 * np.clip(picture, 0, 1)).astype(np.uint8)).save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
