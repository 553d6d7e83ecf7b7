"""The page of all runs: what its list shows, what can be done with rows of it; without a browser and an engine."""

import pytest

from kdlib import runs
from tests import stored_runs
from tests.opened_pages import opened, texts

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
    app.button(key="undo").click().run()
    assert run_ids[0] in [run.id for run in runs.list_runs()]


def test_the_list_of_runs_says_what_tells_them_apart(run_ids):
    app = opened("runs")
    [table] = [each.value for each in app.dataframe]
    by_method = table.set_index("method")
    assert by_method.loc["trained, two layers (mlp)", ["dataset", "teacher", "dim"]].tolist() == [
        "digits",
        "untrained network (random)",
        4,
    ]
    assert by_method.loc["no teacher (baseline)", ["teacher", "dim"]].isna().all(), "a baseline has neither"
    assert "progress" not in table, "nothing trains"
    points = runs.history(run_ids[0])
    curve = by_method.loc["no teacher (baseline)", "curve"]
    assert curve == pytest.approx([sum(point.val) / len(point.val) for point in points])


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
    [table] = [each.value for each in app.dataframe if "state" in each.value]
    assert table["method"].tolist() == ["trained, two layers (mlp)"]
    app.multiselect(key="only-method").set_value([])
    app.multiselect(key="only-teacher").set_value(["random"]).run()
    [table] = [each.value for each in app.dataframe if "state" in each.value]
    assert sorted(table["method"]) == ["teacher as it is (raw)", "trained, two layers (mlp)"], (
        "a baseline learns from no teacher"
    )
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
