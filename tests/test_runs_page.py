"""The page of all runs: what its list shows, what can be done with rows of it; without a browser and an engine."""

from dataclasses import replace

import pytest
from streamlit.testing.v1 import AppTest

from kdlib import runs
from kdlib.analysis.comparison import format_percent
from kdlib.store import RUNNING
from pages import address, run_list
from tests import stored_runs
from tests.opened_pages import listed_runs, opened, texts

HOSTILE = "<script>alert(1)</script> **bold** $x^2$ [link](http://x.y) =1+1 :material/home:"


@pytest.fixture(autouse=True)
def home(app_home):
    return app_home


@pytest.fixture
def run_ids(home):
    return stored_runs.store_all()


def test_a_run_is_renamed_deleted_and_brought_back(run_ids):
    app = opened("runs", runs=run_ids[0])
    app.text_input(key=f"name-{run_ids[0]}").input(HOSTILE)
    next(each for each in app.button if each.label == "Rename").click().run()
    assert runs.get(run_ids[0]).name == " ".join(HOSTILE.split())
    app.button(key="delete").click().run()
    assert run_ids[0] not in [run.id for run in runs.list_runs()]
    assert names(app) == ["stored mlp", "stored raw"]
    app.button(key="undo").click().run()
    assert len(names(app)) == 3
    assert not listed_runs(app)["chosen"]
    assert run_ids[0] in [run.id for run in runs.list_runs()]


def names(app) -> list[str]:
    """Return the names of the runs that a page lists."""
    return [run["name"] for run in listed_runs(app)["runs"]]


def facts(run) -> list[str]:
    """Return what a card says of a run beside name, state and curve."""
    cells = [cell for cell in run["cells"] if cell["text"] != "–"]
    return [
        " ".join(filter(None, (cell["before"], cell["text"], cell["after"]))).replace("\u00a0", " ") for cell in cells
    ]


def test_the_list_of_runs_says_what_tells_them_apart(run_ids):
    shown = listed_runs(opened("runs"))["runs"]
    assert [run["name"] for run in shown] == ["stored mlp", "stored raw", "stored baseline"]
    score = format_percent(runs.get(run_ids[2]).accuracy())
    assert facts(shown[0])[:-1] == [
        "digits",
        "untrained network (random)",
        "trained, two layers (mlp)",
        "dim 4",
        f"accuracy {score} %",
        "seeds 2",
    ]
    assert facts(shown[0])[-1].endswith(" ago")
    assert facts(shown[2])[:2] == ["digits", "no teacher (baseline)"], "a baseline has no teacher"
    assert not any(fact.startswith("dim") for fact in facts(shown[2])), "and no width"
    assert {(run["state"], run["words"], run["share"]) for run in shown} == {("done", "done", None)}


def test_every_run_has_its_curve_and_the_same_columns(run_ids):
    shown = listed_runs(opened("runs"))["runs"]
    assert len({tuple(cell["name"] for cell in run["cells"]) for run in shown}) == 1
    points = [100 * sum(point.val) / len(point.val) for point in runs.history(run_ids[2])]
    assert shown[0]["curve"] == f"from {points[0]:.0f} to {points[-1]:.0f} %"
    assert len(shown[0]["points"].split()) == len(points)


def test_a_run_that_trains_says_how_far_it_is(run_ids):
    run = replace(runs.get(run_ids[0]), state=RUNNING, progress=0.42, phase="training")
    assert run_list.state_words(run) == "42 %"
    assert run_list.state_words(replace(run, cancelling=True)) == "stopping"


def choosing(listed: list[str], chosen: list[str]) -> None:
    """A page on which a click in a list of runs arrives."""
    from kdlib import runs
    from pages import run_list

    run_list._choose([runs.get(run_id) for run_id in listed], chosen)


@pytest.mark.parametrize("chosen", [[0, 1], [1], []])
def test_a_choice_goes_into_the_address_which_keeps_what_the_list_does_not_show(chosen, run_ids):
    elsewhere = "0" * 32
    ids = [run_ids[place] for place in chosen]
    app = AppTest.from_function(choosing, args=(run_ids, [*ids, "<script>"]))
    app.query_params["runs"] = f"{elsewhere},{run_ids[1]}"
    app.run()
    assert not app.exception
    assert address.RUN_ID.findall(str(app.query_params["runs"])) == [elsewhere, *ids]
    app = opened("runs", runs=f"{elsewhere},{run_ids[1]}")
    assert listed_runs(app)["chosen"] == [run_ids[1]]


def test_a_hostile_name_goes_to_the_list_as_it_is_and_into_no_markup(run_ids):
    runs.rename(run_ids[0], HOSTILE)
    app = opened("runs")
    assert " ".join(HOSTILE.split()) in names(app)
    assert not any("bold" in part.proto.body for part in app.get("html"))


def test_actions_are_there_before_a_run_is_chosen_and_wait_for_it(run_ids):
    app = opened("runs")
    assert {name: app.button(key=name).disabled for name in ("cancel", "resume", "delete")} == dict.fromkeys(
        ("cancel", "resume", "delete"), True
    )
    app = opened("runs", runs=run_ids[0])
    assert not app.button(key="delete").disabled
    assert app.button(key="resume").disabled, "a run that is done has nothing to resume"


@pytest.mark.parametrize("page", ["runs", "compare"])
def test_runs_are_narrowed_down_by_what_they_do(page, run_ids):
    app = opened(page, **{"only-method": "mlp"})
    app.session_state["choose"] = True  # what opens the list on Compare
    app.run()
    assert names(app) == ["stored mlp"]
    app.multiselect(key="only-method").set_value([])
    app.multiselect(key="only-teacher").set_value(["random"]).run()
    assert names(app) == ["stored mlp", "stored raw"], "a baseline learns from no teacher"
    app.multiselect(key="only-dataset").set_value(["tones"]).run()
    assert "No run fits" in texts(app)


def test_hostile_names_are_escaped_where_markdown_would_read_them(run_ids):
    runs.rename(run_ids[0], HOSTILE)
    app = opened("runs", runs=run_ids[0])
    assert not app.exception
    heading = next(each.value for each in app.markdown if "bold" in each.value)
    assert "\\<script\\>" in heading
    assert "\\$x\\^2\\$" in heading
    assert "\\[link\\]" in heading
