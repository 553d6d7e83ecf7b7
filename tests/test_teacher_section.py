"""What Data & teachers shows of the teachers: nothing that costs is begun unbidden; progress, cancel and going on."""

import time
from dataclasses import asdict, replace

import pytest

from kdlib import engine
from kdlib.analysis import teacher_report
from kdlib.models import embedding, providers
from kdlib.names import teacher_name
from kdlib.spaces import embedding_jobs, teacher_jobs
from pages import server, teacher_section
from pages.text import describe_seconds
from tests import slow_teachers
from tests.opened_pages import opened, tables, texts

TEACHER = "slow:1000"


@pytest.fixture(autouse=True)
def home(app_home, monkeypatch):
    monkeypatch.setitem(providers.PROVIDERS, "slow", "tests.slow_teachers")
    embedding._embeddings.cache_clear()
    return app_home


@pytest.fixture
def submitted(monkeypatch):
    """Return the keys of what is handed to the engine, which does not run here but says that it works on all of it."""
    keys = []
    monkeypatch.setattr(engine, "submit", lambda *_, key, **__: keys.append(key))
    monkeypatch.setattr(engine, "states", lambda asked: dict.fromkeys(asked, "running"))
    return keys


def page():
    return opened("data_teachers", dataset="digits")


def teacher_table(app):
    return next(each for each in tables(app) if "source task" in each).set_index("teacher")


def record(**changes):
    """Note a request as a worker does that has embedded 600 rows in a minute."""
    key = embedding.entry_key(TEACHER, "digits")
    values = {"requested": time.time(), "started": time.time() - 60, "starts": 1} | changes
    (embedding_jobs._folder()).mkdir(exist_ok=True)
    embedding_jobs._write(key, embedding_jobs._Record(TEACHER, "digits", **values))
    part = embedding_jobs.home() / "cache" / "embeddings" / f"{key}.part"
    part.parent.mkdir(parents=True, exist_ok=True)
    header = {"descr": "<f4", "fortran_order": False, "shape": (2997, 2)}
    with part.open("wb") as stream:
        embedding.np.lib.format.write_array_header_1_0(stream, header)
        stream.write(bytes(600 * 8))


def test_what_ships_is_shown_at_once_and_nobody_is_asked(submitted):
    app = page()
    assert not [key for key in submitted if key.startswith("knowledge")]
    table = teacher_table(app)
    report = teacher_report.load_shipped("simclr", "digits")
    assert table.loc[teacher_name("simclr"), "target, %"] == f"{100 * report.target.accuracy:.1f}"


def test_opening_the_page_asks_only_teachers_that_cost_nothing(submitted, monkeypatch):
    monkeypatch.setattr(teacher_report, "load_shipped", lambda *_: None)
    app = page()
    assert not app.exception
    assert not app.error, texts(app)
    keys = {teacher_report.report_key(name, "digits") for name in ("simclr", "random", "parity")}
    assert {f"knowledge-{key}" for key in keys} <= set(submitted)
    assert not [
        key for key in submitted if key.startswith("embed") or teacher_report.report_key(TEACHER, "digits") in key
    ]
    assert "2,997 items to embed" in texts(app).replace("\\", "")


def test_a_click_hands_the_work_to_the_engine_and_the_page_follows_it(submitted):
    app = page()
    app.button(key=f"embed-{TEACHER}").click().run()
    assert [key for key in submitted if key.startswith(f"embed-{embedding.entry_key(TEACHER, 'digits')}")]
    assert app.button(key=f"cancel-{TEACHER}")


def test_progress_time_left_and_cancel(submitted):
    record()
    app = page()
    shown = [each.proto.text for each in app.get("progress") if "slow" in each.proto.text]
    assert [each.replace("\\", "") for each in shown] == ["**slow:1000** · 600 of 2,997 items, about 4 min to go"]
    app.button(key=f"cancel-{TEACHER}").click().run()
    assert app.button(key=f"cancel-{TEACHER}").disabled
    assert "stopping; 600 of 2,997 items are kept" in app.get("progress")[-1].proto.text.replace("\\", "")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"end": "stopped"}, "600 of 2,997 items are embedded"),
        ({"end": "failed", "reason": "no such weights"}, "failed: no such weights"),
        ({"cancelled": True, "requested": 1.0}, "600 of 2,997 items are embedded"),
    ],
)
def test_what_has_ended_can_be_gone_on_with(changes, message, monkeypatch):
    monkeypatch.setattr(engine, "states", lambda _: {})
    record(**changes)
    app = page()
    assert message in texts(app).replace("\\", "")
    assert app.button(key=f"embed-{TEACHER}").label == "Go on"


def test_an_embedded_teacher_is_asked_and_its_out_of_domain_probe_is_in_the_table(submitted):
    embedding.cached_rows(
        "embeddings",
        embedding.entry_key(TEACHER, "digits"),
        2997,
        lambda _: iter([embedding.np.random.default_rng(0).normal(size=(2997, 2)).astype("float32")]),
    )
    page()
    assert f"knowledge-{teacher_report.report_key(TEACHER, 'digits')}" in submitted
    teacher_jobs.compute(TEACHER, "digits")
    report = teacher_report.cached(TEACHER, "digits")
    table = teacher_table(page())
    assert table.loc[TEACHER, ["embedded, %", "width"]].tolist() == ["100", "2"]
    assert table.loc[TEACHER, "target, %"] == f"{100 * report.target.accuracy:.1f}"
    assert table.loc[TEACHER, "ood:noise, %"] == f"{100 * report.target.splits['ood:noise']:.1f}"
    assert report.target.ood == pytest.approx(sum(report.target.splits.values()) / len(report.target.splits))


def test_a_name_makes_no_emoji(submitted):
    """The name of a teacher and a colon after it were shown as the emoji of that name."""
    shown = [each.value for each in page().markdown if "slow" in each.value]
    assert shown == ["**slow\\:1000** · 2,997 items to embed"]


def test_what_a_teacher_takes_for_an_item_is_said_before(submitted, monkeypatch):
    slow = slow_teachers.get("1000")
    monkeypatch.setattr(slow_teachers, "get", lambda _: replace(slow, seconds_per_item=0.1))
    assert "2,997 items to embed, about 5 min" in texts(page()).replace("\\", "")


def test_every_state_has_words():
    for state in ("absent", "queued", "running", "cancelling", "stopped", "failed", "done"):
        each = embedding_jobs.EmbeddingState(state, 5, 10, 30.0, "why")
        assert teacher_section.describe_state(each)
        assert set(asdict(each)) == {"state", "done", "rows", "seconds_left", "reason"}
    assert [describe_seconds(each) for each in (0.2, 45, 100, 7200)] == ["1 s", "45 s", "2 min", "2 h"]


@pytest.fixture
def first_visit():
    """The libraries that the page takes are not loaded yet."""
    server.libraries_ready.clear()
    yield
    server.libraries_ready.set()


def test_a_first_visit_sees_what_ships_before_anything_is_asked(first_visit, monkeypatch):
    def broken(_):
        raise ValueError("not loaded yet")

    monkeypatch.setattr(teacher_section, "ask", broken)
    app = page()
    [chart] = app.get("plotly_chart")
    assert "simclr" in chart.proto.spec
    assert "Not loaded yet" in texts(app)


def test_a_first_visit_draws_the_heatmap_once_and_again_only_with_what_was_made_here(first_visit, submitted):
    before = len(page().get("plotly_chart"))
    report = teacher_report.load_shipped("random", "digits")
    teacher_report.store("random", "digits", replace(report, target=replace(report.target, accuracy=0.123)))
    app = page()
    assert not app.exception
    charts = app.get("plotly_chart")
    assert len(charts) == before
    assert "12.3 %" in charts[0].proto.spec
