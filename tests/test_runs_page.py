"""The page of all runs: what its list shows, what can be done with rows of it; without a browser and an engine."""

import re

import pytest
from streamlit.testing.v1.element_tree import Checkbox

from kdlib import runs
from kdlib.analysis.comparison import format_percent
from pages import address
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
    assert list(cards(app)) == ["stored mlp", "stored raw"]
    app.button(key="undo").click().run()
    assert len(cards(app)) == 3
    assert not any(box.value for box in cards(app).values())
    assert run_ids[0] in [run.id for run in runs.list_runs()]


def address_of(app) -> list[str]:
    """Return the ids of the runs in the address of a page."""
    return address.RUN_ID.findall(str(app.query_params["runs"]))


def cards(app) -> dict[str, Checkbox]:
    """Return name -> box of each run that is shown as a card."""
    return {box.label: box for box in app.checkbox if re.match("(table|done)-", box.key)}


def test_the_list_of_runs_says_what_tells_them_apart(run_ids):
    stored_runs.store_all("again")
    app = opened("runs")
    [table] = [each.value for each in app.dataframe]
    assert not cards(app), "six runs are a table"
    by_name = table.set_index("name")
    assert by_name.loc["stored mlp", ["method", "dataset", "teacher", "dim"]].tolist() == [
        "trained, two layers (mlp)",
        "digits",
        "untrained network (random)",
        4,
    ]
    assert by_name.loc["stored baseline", ["teacher", "dim"]].isna().all(), "a baseline has neither"
    assert "progress" not in table, "nothing trains"
    points = runs.history(run_ids[0])
    curve = by_name.loc["stored baseline", "curve"]
    assert curve == pytest.approx([sum(point.val) / len(point.val) for point in points])


def test_a_few_runs_are_cards_that_say_the_same(run_ids):
    app = opened("runs")
    assert not app.dataframe
    assert list(cards(app)) == ["stored mlp", "stored raw", "stored baseline"]
    facts = [each.value.replace("\u00a0", " ").replace("\\", "") for each in app.caption if "digits" in each.value]
    score = format_percent(runs.get(run_ids[2]).accuracy())
    assert facts[0].startswith(
        f"digits · untrained network (random) · trained, two layers (mlp) · dim 4 · accuracy {score} % · seeds 2 · "
    )
    assert facts[0].endswith(" ago")
    assert facts[2].startswith("digits · no teacher (baseline) · accuracy"), "a baseline has no teacher and no width"
    curves = [part.proto.body for part in app.get("html") if "kd-curve" in part.proto.body]
    points = [100 * sum(point.val) / len(point.val) for point in runs.history(run_ids[2])]
    assert f"from {points[0]:.0f} to {points[-1]:.0f} %" in curves[0]


def test_cards_choose_runs_like_rows_of_a_table(run_ids):
    elsewhere = "0" * 32  # of a run that the list does not show
    app = opened("runs", runs=f"{elsewhere},{run_ids[1]}")
    assert {name: box.value for name, box in cards(app).items()} == {
        "stored mlp": False,
        "stored raw": True,
        "stored baseline": False,
    }
    cards(app)["stored baseline"].check().run()
    assert address_of(app) == [elsewhere, run_ids[1], run_ids[0]]
    assert "3 chosen" not in texts(app), "the one elsewhere is not there any more"
    assert "2 chosen" in texts(app)
    cards(app)["stored raw"].uncheck().run()
    cards(app)["stored baseline"].uncheck().run()
    assert address_of(app) == [elsewhere]


def test_a_hostile_name_is_literal_on_its_card(run_ids):
    runs.rename(run_ids[0], HOSTILE)
    [label] = [label for label in cards(opened("runs")) if "bold" in label]
    assert label.startswith("\\<script\\>")
    assert "\\[link\\]" in label


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
    assert list(cards(app)) == ["stored mlp"]
    app.multiselect(key="only-method").set_value([])
    app.multiselect(key="only-teacher").set_value(["random"]).run()
    assert list(cards(app)) == ["stored mlp", "stored raw"], "a baseline learns from no teacher"
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
