"""The spaces of a run: the right rows, neighbours as brute force finds them, answers made once, several labels, degenerate spaces."""

from dataclasses import asdict, replace

import numpy as np
import pytest
from safetensors.numpy import save_file

from kdlib import engine, runs, spaces
from kdlib.analysis import geometry
from kdlib.analysis.neighbours import expected_overlap, knn_overlap
from kdlib.data import datasets
from kdlib.data.datasets import Attribute, Dataset
from kdlib.engine import RunFolder
from kdlib.models import teachers
from kdlib.spaces import SpaceRequest, jobs
from tests import stored_runs


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """Return method -> id of a finished run, twice the same under "again"."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KDLIB_HOME", str(tmp_path_factory.mktemp("home")))
        ids = dict(zip(stored_runs.METHODS, stored_runs.store_all(), strict=True))
        yield ids | {"again": stored_runs.store_result(stored_runs.trained()[2], "again")}


@pytest.fixture
def handed(monkeypatch):
    """Return what is handed to the engine, which does not run here."""
    found = []
    monkeypatch.setattr(
        engine, "submit", lambda function, *arguments, key, priority=0.0: found.append((function, arguments, key))
    )
    return found


@pytest.fixture
def invented():
    """Return 40 rows in three invented spaces."""
    rng = np.random.default_rng(0)
    raw = rng.normal(size=(40, 6)).astype(np.float32)
    made = {"raw": raw, "compressed": raw[:, :2], "student": rng.normal(size=(40, 3)).astype(np.float32)}
    rows = datasets.load("digits").splits["test"][:40]
    return spaces.Spaces(stored_runs.SPEC, rows, 40, made, rng.normal(size=(40, 10)).astype(np.float32), "key")


def test_rows_are_the_same_in_every_space(kept):
    data, result = datasets.load("digits"), stored_runs.trained()[2]
    found = spaces.load_spaces(kept["mlp"], "ood:noise", member=1)
    np.testing.assert_array_equal(found.rows, data.splits["ood:noise"])
    np.testing.assert_array_equal(found.spaces["student"], result.arrays["features/ood:noise"][1])
    np.testing.assert_array_equal(found.spaces["compressed"], result.arrays["compressed/ood:noise"][1])
    np.testing.assert_array_equal(found.spaces["raw"], teachers.embed("random", "digits")[found.rows])
    np.testing.assert_array_equal(found.logits, result.arrays["logits/ood:noise"][1])
    assert len(spaces.load_spaces(kept["mlp"], "train").rows) == stored_runs.SPEC.labels
    with pytest.raises(ValueError, match="splits"):
        spaces.load_spaces(kept["mlp"], "nowhere")


def test_more_rows_than_are_looked_at_are_drawn_and_counted(kept, monkeypatch):
    monkeypatch.setattr(spaces.rows, "MAX_ROWS", 50)
    found = spaces.load_spaces(kept["mlp"])
    assert (len(found.rows), found.total) == (50, 600)
    assert {len(each) for each in found.spaces.values()} == {50}
    whole = stored_runs.trained()[2].arrays["features/test"][0]
    place = {row: i for i, row in enumerate(datasets.load("digits").splits["test"])}
    np.testing.assert_array_equal(found.spaces["student"], whole[[place[row] for row in found.rows]])


def test_a_baseline_has_one_space_and_no_pair(kept):
    found = spaces.load_spaces(kept["baseline"])
    assert list(found.spaces) == ["student"]
    assert found.pairs == ()
    assert spaces.neighbour_changes(found, 0) == {}
    report, arrays = jobs.compute_scorecard(found)
    assert report["pairs"] == {}
    assert report["spaces"]["student"]["effective rank"] >= 1
    assert not arrays


def test_kept_lost_and_gained_are_what_brute_force_finds(invented):
    def nearest(space, row):
        far = [sum((float(a) - float(b)) ** 2 for a, b in zip(space[row], other, strict=True)) for other in space]
        return sorted((i for i in range(len(space)) if i != row), key=lambda i: far[i])[:10]

    for row in (0, 17, 39):
        for (a, b), told in spaces.neighbour_changes(invented, row).items():
            before, after = nearest(invented.spaces[a], row), nearest(invented.spaces[b], row)
            assert told["kept"].tolist() == [i for i in before if i in after]
            assert told["lost"].tolist() == [i for i in before if i not in after]
            assert told["gained"].tolist() == [i for i in after if i not in before]


def test_the_scorecard_agrees_with_geometry_pair_by_pair(invented):
    report, arrays = jobs.compute_scorecard(invented)
    for pair, told in report["pairs"].items():
        a, b = (invented.spaces[name] for name in pair.split(">"))
        assert told["overlap"] == pytest.approx(knn_overlap(a, b))
        assert told["cka"] == pytest.approx(geometry.linear_cka(a, b))
        assert told["distance correlation"] == pytest.approx(geometry.distance_correlation(a, b))
        assert told["chance"] == pytest.approx(expected_overlap(40), abs=0.08)
        assert arrays[f"change/{pair}"].mean() == pytest.approx(1 - told["overlap"])
    assert set(report["faithful"]) == {"raw", "compressed", "student"}
    assert report["undefined"] == []


def test_constant_few_and_duplicate_rows_are_words_not_errors(invented):
    few = replace(invented, rows=invented.rows[:3], spaces={name: each[:3] for name, each in invented.spaces.items()})
    flat = replace(invented, spaces=invented.spaces | {"compressed": np.ones((40, 2), np.float32)})
    same = replace(invented, spaces={name: np.repeat(each[:2], 20, axis=0) for name, each in invented.spaces.items()})
    for case in (few, flat, same):
        report, _ = jobs.compute_scorecard(case)
        assert all(isinstance(why, str) for why in report["undefined"])
        spaces.neighbour_changes(case, 0)
        shown, maps = spaces.project_now(case)
        assert all(np.isfinite(place).all() and len(place) == len(shown) for place in maps.places)
    assert any("compressed" in why for why in jobs.compute_scorecard(flat)[0]["undefined"])
    assert "undefined" in spaces.neighbour_changes(few, 0)["raw", "compressed"]


def test_an_answer_is_asked_for_once_and_serves_every_run_of_the_same_content(kept, handed):
    question = SpaceRequest(kept["mlp"], projection="tsne")
    found = spaces.load_spaces(kept["mlp"])
    assert spaces.request(question, found) == spaces.request(question, found) == {}
    assert len({key for _, _, key in handed}) == 1
    function, arguments, _ = handed[0]
    function(*arguments)
    answer = spaces.request(question, found)
    assert len(handed) == 2
    assert {place.shape for place in answer["places"].values()} == {(600, 2)}
    assert all(0 <= told["trustworthiness"] <= 1 for told in answer["faithful"].values())
    twin = spaces.load_spaces(kept["again"])
    assert spaces.cached(replace(question, run=kept["again"]), twin)["notes"] == answer["notes"]
    assert spaces.cached(replace(question, projection="umap"), found) == {}


def test_an_answer_that_fails_says_why_until_it_is_asked_for_again(kept, handed, monkeypatch):
    question, found = SpaceRequest(kept["raw"]), spaces.load_spaces(kept["raw"])

    def broken(*_):
        raise ValueError("no such thing")

    monkeypatch.setattr(jobs, "compute_scorecard", broken)
    jobs.compute(asdict(question))
    assert spaces.request(question, found) == {"error": "no such thing"}
    assert not handed
    spaces.discard(question, found)
    assert spaces.cached(question, found) == {}


@pytest.mark.parametrize("left", [0, 5, 60, 0.5, "no report", "other words"])
def test_a_damaged_answer_is_one_that_has_not_been_found(left, kept, handed):
    question, found = SpaceRequest(kept["raw"]), spaces.load_spaces(kept["raw"])
    jobs.compute(asdict(question))
    path = jobs._path(question.key(found))
    whole = path.read_bytes()
    if isinstance(left, str):
        save_file({"change": np.zeros(1)}, path, {"report": "{"} if left == "other words" else None)
    else:
        path.write_bytes(whole[: left if isinstance(left, int) else int(left * len(whole))])
    assert spaces.request(question, found) == {}
    assert len(handed) == 1
    assert not path.exists()


def test_several_labels_and_missing_ones_have_colours_and_words():
    labels = np.array([[1, 0, np.nan], [0, 0, 0], [np.nan] * 3, [0, 1, 1]], np.float32)
    data = Dataset(
        "many", np.zeros((4, 1, 2, 2), np.float32), labels, ("a", "b", "c"), {"test": np.arange(4)},
        {"mood": Attribute(np.array([0, -1, 1, 0]), ("glad", "sad"))},
    )  # fmt: skip
    logits = np.array([[9, 0, 0], [0, 9, 0], [0, 0, 9], [0, 0, 9]], np.float32)
    assert spaces.first_label(labels).tolist() == [0, -1, -1, 1]
    assert spaces.predictions(logits, labels)[1].tolist() == [1, 0, -1, 1]
    for by in spaces.colourings(data, []):
        found = spaces.colours(by, data, np.arange(4), logits, {})
        assert len(found.names) == len(found.colours) == len(found.shapes) > found.codes.max()
    table = spaces.row_table(data, np.arange(4), logits)
    assert table["class"].tolist() == ["a", "–", "–", "b, c"]
    assert table["mood"].tolist() == ["glad", "–", "sad", "glad"]


def test_a_replay_has_one_place_per_row_snapshot_and_space(kept):
    found = spaces.replay(kept["mlp"])
    times, rows = len(found.epochs), len(found.rows)
    assert times == stored_runs.SPEC.epochs + 1
    assert {name: each.shape for name, each in found.places.items()} == dict.fromkeys(
        spaces.SPACE_NAMES, (times, rows, 2)
    )
    assert not np.ptp(found.places["raw"], axis=0).any()
    assert np.ptp(found.places["student"], axis=0).max() > 0
    assert set(spaces.replay(kept["baseline"]).places) == {"student"}


def test_a_replay_follows_a_run_that_has_no_result_yet(kept, monkeypatch):
    folder = RunFolder(kept["mlp"])
    whole = runs.replay(kept["mlp"])
    monkeypatch.setattr(runs, "replay", lambda _: {})
    assert spaces.replay(kept["mlp"]) is None
    for number in range(2):
        still = {"rows": whole["rows"]} if number == 0 else {}
        folder.write_snapshot(
            still | {"epoch": number, "student": whole["student"][number], "compressed": whole["compressed"][number]}
        )
        assert spaces.replay(kept["mlp"]).epochs.tolist() == list(range(number + 1))
