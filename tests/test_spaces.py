"""The spaces of a run: the right rows, neighbours as brute force has them, answers made once, degenerate spaces."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from safetensors.numpy import save_file

from kdlib import engine, runs, spaces
from kdlib.analysis import geometry, projection
from kdlib.analysis.neighbours import expected_overlap, knn_overlap
from kdlib.data import datasets
from kdlib.data.datasets import Attribute, Dataset
from kdlib.engine import RunFolder
from kdlib.models import embedding
from kdlib.spaces import SpaceRequest, jobs, storage
from tests import stored_runs


@pytest.fixture(scope="module")
def run_ids(tmp_path_factory):
    """Return method -> id of a finished run, twice the same under "again"."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KDLIB_HOME", str(tmp_path_factory.mktemp("home")))
        ids = dict(zip(stored_runs.METHODS, stored_runs.store_all(), strict=True))
        yield ids | {"again": stored_runs.store_result(stored_runs.trained()[2], "again")}


@pytest.fixture
def submitted(monkeypatch):
    """Return what is submitted to the engine, which does not run here."""
    submitted = []
    monkeypatch.setattr(
        engine, "submit", lambda function, *arguments, key, priority=0.0: submitted.append((function, arguments, key))
    )
    return submitted


@pytest.fixture
def example():
    """Return 40 rows in three example spaces."""
    rng = np.random.default_rng(0)
    raw = rng.normal(size=(40, 6)).astype(np.float32)
    each = {"raw": raw, "compressed": raw[:, :2], "student": rng.normal(size=(40, 3)).astype(np.float32)}
    rows = datasets.load("digits").splits["test"][:40]
    return spaces.Spaces(stored_runs.SPEC, rows, 40, each, rng.normal(size=(40, 10)).astype(np.float32), "key")


def test_rows_are_the_same_in_every_space(run_ids):
    data, result = datasets.load("digits"), stored_runs.trained()[2]
    loaded = spaces.load_spaces(run_ids["mlp"], "ood:noise", member=1)
    np.testing.assert_array_equal(loaded.rows, data.splits["ood:noise"])
    np.testing.assert_array_equal(loaded.spaces["student"], result.arrays["features/ood:noise"][1])
    np.testing.assert_array_equal(loaded.spaces["compressed"], result.arrays["compressed/ood:noise"][1])
    np.testing.assert_array_equal(loaded.spaces["raw"], embedding.embed("random", "digits")[loaded.rows])
    np.testing.assert_array_equal(loaded.logits, result.arrays["logits/ood:noise"][1])
    assert len(spaces.load_spaces(run_ids["mlp"], "train").rows) == stored_runs.SPEC.labels
    with pytest.raises(ValueError, match="splits"):
        spaces.load_spaces(run_ids["mlp"], "nowhere")


def test_of_too_many_rows_a_sample_is_loaded_and_all_are_counted(run_ids, monkeypatch):
    monkeypatch.setattr(spaces.rows, "MAX_ROWS", 50)
    loaded = spaces.load_spaces(run_ids["mlp"])
    assert (len(loaded.rows), loaded.total) == (50, 600)
    assert {len(each) for each in loaded.spaces.values()} == {50}
    features = stored_runs.trained()[2].arrays["features/test"][0]
    place = {row: i for i, row in enumerate(datasets.load("digits").splits["test"])}
    np.testing.assert_array_equal(loaded.spaces["student"], features[[place[row] for row in loaded.rows]])


def test_a_baseline_has_one_space_and_no_pair(run_ids):
    loaded = spaces.load_spaces(run_ids["baseline"])
    assert list(loaded.spaces) == ["student"]
    assert loaded.pairs == ()
    card = jobs.compute_scorecard(loaded)
    assert card.pairs == {}
    assert card.spaces["student"].effective_rank >= 1
    assert not card.change


def test_the_scorecard_agrees_with_geometry_pair_by_pair(example):
    card = jobs.compute_scorecard(example)
    for name, pair in card.pairs.items():
        a, b = (example.spaces[space] for space in name.split(">"))
        assert pair.overlap == pytest.approx(knn_overlap(a, b))
        assert pair.cka == pytest.approx(geometry.linear_cka(a, b))
        assert pair.distance_correlation == pytest.approx(geometry.distance_correlation(a, b))
        assert pair.chance == pytest.approx(expected_overlap(40), abs=0.08)
        assert card.change[name].mean() == pytest.approx(1 - pair.overlap)
    assert set(card.faithful) == {"raw", "compressed", "student"}
    assert card.undefined == []


# As versions before `Scorecard` wrote it, of a run with two spaces.
STORED_REPORT = {
    "pairs": {"raw>student": {"overlap": 0.5, "chance": 0.25, "cka": 0.75, "distance correlation": None}},
    "spaces": {"raw": {"width": 256, "effective rank": 12.5, "silhouette": None}},
    "faithful": {"raw": {"trustworthiness": 0.9, "continuity": 0.8, "rows": 3}},
    "n": 3,
    "k": 10,
    "undefined": ["silhouette, raw: one class only"],
}


def test_a_scorecard_of_an_earlier_version_is_read_and_written_as_it_was(run_ids):
    loaded, request = spaces.load_spaces(run_ids["raw"], member=1), SpaceRequest(run_ids["raw"], member=1)
    path = storage.answer_path(request.key(loaded))
    path.parent.mkdir(parents=True, exist_ok=True)
    lost = {"change/raw>student": np.array([0.5, 0, 1], np.float32)}
    save_file(lost, path, {"report": json.dumps(STORED_REPORT)})
    card = spaces.cached(request, loaded)
    assert (card.rows, card.spaces["raw"].effective_rank, card.pairs["raw>student"].cka) == (3, 12.5, 0.75)
    report, arrays = card.to_parts()
    assert json.dumps(report) == json.dumps(STORED_REPORT)
    assert {name: value.tolist() for name, value in arrays.items()} == {"change/raw>student": [0.5, 0, 1]}


def test_constant_few_and_duplicate_rows_are_words_not_errors(example):
    few = replace(example, rows=example.rows[:3], spaces={name: each[:3] for name, each in example.spaces.items()})
    flat = replace(example, spaces=example.spaces | {"compressed": np.ones((40, 2), np.float32)})
    same = replace(example, spaces={name: np.repeat(each[:2], 20, axis=0) for name, each in example.spaces.items()})
    for case in (few, flat, same):
        card = jobs.compute_scorecard(case)
        assert all(isinstance(reason, str) for reason in card.undefined)
        shown, maps = spaces.project_now(case)
        assert all(np.isfinite(place).all() and len(place) == len(shown) for place in maps.places)
    assert any("compressed" in reason for reason in jobs.compute_scorecard(flat).undefined)


def test_an_answer_is_computed_once_and_serves_every_run_of_the_same_content(run_ids, submitted):
    request = SpaceRequest(run_ids["mlp"], projection="tsne")
    loaded = spaces.load_spaces(run_ids["mlp"])
    assert spaces.request(request, loaded) is spaces.request(request, loaded) is None
    assert len({key for _, _, key in submitted}) == 1
    function, arguments, _ = submitted[0]
    assert spaces.laying_out(request, loaded) is None
    function(*arguments)
    answer = spaces.request(request, loaded)
    assert len(submitted) == 2
    assert {place.shape for place in answer.places.values()} == {(600, 2)}
    assert all(0 <= score["trustworthiness"] <= 1 for score in answer.faithful.values())
    twin = spaces.load_spaces(run_ids["again"])
    assert spaces.cached(replace(request, run=run_ids["again"]), twin).notes == answer.notes
    assert spaces.cached(replace(request, projection="umap"), loaded) is None


def test_while_maps_are_made_it_is_known_which(run_ids, monkeypatch):
    request, loaded = SpaceRequest(run_ids["mlp"], "val", projection="tsne"), spaces.load_spaces(run_ids["mlp"], "val")
    seen, tsne = [], projection.PROJECTIONS["tsne"]

    def watched(space):
        seen.append((spaces.laying_out(request, loaded), space.shape[1]))
        return space[:, :2]

    monkeypatch.setitem(projection.PROJECTIONS, "tsne", replace(tsne, function=watched))
    monkeypatch.setattr(projection, "VERSION", "of this test")
    jobs.compute(asdict(request))
    assert seen == [(number, space.shape[1]) for number, space in enumerate(loaded.spaces.values())]
    assert spaces.laying_out(request, loaded) is None
    assert isinstance(spaces.cached(request, loaded), spaces.SpaceMaps)


def test_an_answer_that_fails_says_why_until_it_is_requested_again(run_ids, submitted, monkeypatch):
    request, loaded = SpaceRequest(run_ids["raw"]), spaces.load_spaces(run_ids["raw"])

    def broken(*_):
        raise ValueError("no such thing")

    monkeypatch.setattr(jobs, "compute_scorecard", broken)
    jobs.compute(asdict(request))
    assert spaces.request(request, loaded) == spaces.Failure("no such thing")
    assert not submitted
    spaces.discard(request, loaded)
    assert spaces.cached(request, loaded) is None


@pytest.mark.parametrize("left", [0, 5, 60, 0.5, "no report", "other words"])
def test_a_damaged_answer_is_one_that_has_not_been_computed(left, run_ids, submitted):
    request, loaded = SpaceRequest(run_ids["raw"]), spaces.load_spaces(run_ids["raw"])
    jobs.compute(asdict(request))
    path = storage.answer_path(request.key(loaded))
    content = path.read_bytes()
    if isinstance(left, str):
        save_file({"change": np.zeros(1)}, path, {"report": "{"} if left == "other words" else None)
    else:
        path.write_bytes(content[: left if isinstance(left, int) else int(left * len(content))])
    assert spaces.request(request, loaded) is None
    assert len(submitted) == 1
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
        colouring = spaces.colours(by, data, np.arange(4), logits, {})
        assert len(colouring.names) == len(colouring.colours) == len(colouring.shapes) > colouring.codes.max()
    table = spaces.row_table(data, np.arange(4), logits)
    assert table["class"].tolist() == ["a", "–", "–", "b, c"]
    assert table["mood"].tolist() == ["glad", "–", "sad", "glad"]


def test_a_replay_has_one_place_per_row_snapshot_and_space(run_ids):
    replay = spaces.replay(run_ids["mlp"])
    times, rows = len(replay.epochs), len(replay.rows)
    assert times == stored_runs.SPEC.epochs + 1
    assert {name: each.shape for name, each in replay.places.items()} == dict.fromkeys(
        spaces.SPACE_NAMES, (times, rows, 2)
    )
    assert not np.ptp(replay.places["raw"], axis=0).any()
    assert np.ptp(replay.places["student"], axis=0).max() > 0
    assert set(spaces.replay(run_ids["baseline"]).places) == {"student"}


def test_a_replay_follows_a_run_that_has_no_result_yet(run_ids, monkeypatch):
    folder = RunFolder(run_ids["mlp"])
    arrays = runs.replay(run_ids["mlp"])
    monkeypatch.setattr(runs, "replay", lambda _: {})
    assert spaces.replay(run_ids["mlp"]) is None
    for number in range(2):
        still = {"rows": arrays["rows"]} if number == 0 else {}
        folder.write_snapshot(
            still | {"epoch": number, "student": arrays["student"][number], "compressed": arrays["compressed"][number]}
        )
        assert spaces.replay(run_ids["mlp"]).epochs.tolist() == list(range(number + 1))
