"""What students say about one item: the same as when their run was measured, whatever way the item comes in."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit, softmax

from kdlib import pipeline, runs, store, trying
from kdlib.analysis.evaluation import thresholds
from kdlib.analysis.figures.items import plot_item_map, plot_probabilities
from kdlib.data import datasets
from kdlib.data.digit_sets import scan_drawing
from kdlib.models import embedding
from kdlib.models.compressors import COMPRESSORS
from kdlib.models.projectors import PROJECTORS
from kdlib.spec import RunSpec
from kdlib.trying import loaded
from tests import small_tables, stored_runs

FIXED = RunSpec(dataset="digits", teacher="random", labels=60, epochs=1, width=2, seeds=2, dim=3, attribute="ink")
LOW, HIGH = 1e-5, 1e-4  # float32 in batches of another size


@pytest.fixture(autouse=True)
def home(app_home):
    return app_home


def stored(spec: RunSpec, *methods: str) -> list[str]:
    results = pipeline.compare([spec.replace(method=method) for method in methods])
    return [stored_runs.store_result(result, result.spec.method) for result in results]


@pytest.fixture
def run_ids(home):
    return stored_runs.store_all()


def test_an_item_of_the_test_set_gets_the_probabilities_that_were_stored(run_ids):
    rows = datasets.load("digits").splits["test"]
    for place in (0, 17):
        answer = trying.answer(trying.item_of_row("digits", int(rows[place])), run_ids, run_ids[2])
        for prediction in answer.predictions:
            logits = runs.arrays(prediction.run, "predictions")["logits/test"][:, place]
            np.testing.assert_allclose(prediction.probabilities, softmax(logits, axis=1), atol=LOW)
            assert prediction.top == prediction.probabilities.mean(0).argmax()
            assert prediction.latency_ms > 0


@pytest.mark.parametrize(
    ("method", "normaliser"),
    [*((method, "none") for method in ("raw", *COMPRESSORS)), ("pca", "whiten"), ("vib", "standardise")],
)
def test_an_item_lies_where_the_measured_run_has_it_in_all_three_spaces(method, normaliser):
    (run_id,) = stored(FIXED.replace(target_normaliser=normaliser), method)
    data, row = datasets.load("digits"), 5
    item = trying.item_of_row("digits", int(data.splits["test"][row]))
    features = runs.arrays(run_id, "features")
    for member in range(FIXED.seeds):
        for given in (item, replace(item, row=-1)):  # from the cache, and embedded anew by the real network
            placed = trying.answer(given, [run_id], run_id, member).placed
            raw = embedding.embed("random", "digits")[item.row]
            np.testing.assert_allclose(placed["raw"].place, raw, atol=LOW)
            compressed = features["compressed/test"]
            np.testing.assert_allclose(
                placed["compressed"].place, compressed[min(member, len(compressed) - 1), row], atol=HIGH
            )
            np.testing.assert_allclose(placed["student"].place, features["features/test"][member, row], atol=LOW)


def test_nearest_training_items_are_those_of_brute_force_among_the_labelled_ones(run_ids):
    data = datasets.load("digits")
    item = trying.item_of_row("digits", int(data.splits["test"][3]))
    answer = trying.answer(item, run_ids[2:], run_ids[2], member=1)
    labelled = data.labelled(stored_runs.SPEC.labels)
    raw = embedding.embed("random", "digits")
    order = sorted(labelled.tolist(), key=lambda row: float(np.linalg.norm(raw[row] - raw[item.row])))
    assert answer.placed["raw"].rows.tolist() == order[: trying.NEIGHBOURS]
    known = runs.arrays(run_ids[2], "features")["features/train"][1]
    slow = np.argsort([np.linalg.norm(each - answer.placed["student"].place) for each in known])
    assert answer.placed["student"].rows.tolist() == labelled[slow[: trying.NEIGHBOURS]].tolist()


@pytest.mark.parametrize("projector", PROJECTORS)
def test_a_student_with_an_adapter_and_a_baseline_answer_too(projector):
    run_ids = stored(FIXED.replace(loss="mse", projector=projector), "baseline", "mlp")
    item = trying.item_of_row("digits", 0)
    assert set(trying.answer(item, run_ids, run_ids[1]).placed) == {"raw", "compressed", "student"}
    answer = trying.answer(item, run_ids, run_ids[0])
    assert set(answer.placed) == {"student"}
    assert "no teacher" in answer.absent["raw"]


def test_several_labels_an_item_have_the_thresholds_of_each_seed():
    spec = RunSpec("mixtures", 60, teacher="tones-random", epochs=1, seeds=2, student="mel-cnn", width=3, dim=4)
    (run_id,) = stored(spec, "mlp")
    data = datasets.load("mixtures")
    row = int(data.splits["test"][2])
    prediction = trying.answer(trying.item_of_row("mixtures", row), [run_id], run_id).predictions[0]
    arrays = runs.arrays(run_id, "predictions")
    np.testing.assert_allclose(prediction.probabilities, expit(arrays["logits/test"][:, 2]), atol=LOW)
    cuts = thresholds(arrays["logits/val"][1], data.labels[data.splits["val"]])
    np.testing.assert_array_equal(prediction.cuts[1], cuts)
    table = trying.probability_table([prediction], data.classes)
    assert table["cut"].tolist() == pytest.approx(prediction.cuts.mean(0).tolist())
    assert len(list(plot_probabilities(table).select_traces({"type": "scatter"}))) == 2  # seeds and thresholds


def test_agreement_counts_the_seeds_that_say_the_same():
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6]])
    assert trying.Prediction("", FIXED, probabilities, None, 1.0).agreeing == 2
    cuts = np.full((3, 2), 0.15)
    tags = trying.Prediction("", FIXED, probabilities, cuts, 1.0)
    assert tags.chosen.tolist() == [[True, False], [True, True], [True, True]]
    assert tags.agreeing == 2


def test_a_new_item_of_a_teacher_that_is_a_table_has_its_student_places_and_a_reason(tmp_path):
    name = small_tables.imported_table(tmp_path)
    spec = RunSpec(name, 30, f"{name}/y", method="mlp", dim=2, epochs=1, seeds=2, student="mlp", width=2)
    (run_id,) = stored(spec, "mlp")
    data = datasets.load(name)
    row = int(data.splits["test"][0])
    assert set(trying.answer(trying.item_of_row(name, row), [run_id], run_id).placed) == {
        "raw",
        "compressed",
        "student",
    }
    written = " ".join(str(float(value)) for value in data.inputs[row])
    answer = trying.answer(trying.item_of_numbers(name, written), [run_id], run_id)
    assert set(answer.placed) == {"student"}
    assert "table of embeddings" in answer.absent["raw"] == answer.absent["compressed"]
    for text, says in (("1 2", "has 6 numbers, got 2"), ("1 2 3 4 5 x", "got 'x'"), ("1 2 3 4 5 inf", "finite")):
        with pytest.raises(ValueError, match=says):
            trying.item_of_numbers(name, text)


def test_noise_and_shapes_are_unlike_anything_seen_and_test_items_are_not(run_ids):
    data = datasets.load("digits")
    students = loaded.load_familiarity(run_ids[2])
    inputs = datasets.to_float(data.inputs)
    judged = inputs[data.splits["test"]]
    features, _ = loaded.load_students(run_ids[2]).predict(judged)
    percentiles = [students.percentile(features[:, [i]], judged[[i]]) for i in range(len(judged))]
    assert np.mean(np.array(percentiles) >= 99.5) <= 0.02
    rng = np.random.default_rng(0)
    noise = rng.random((50, 1, 8, 8), dtype=np.float32)
    photo = np.linspace(0, 1, 64, dtype=np.float32).reshape(1, 1, 8, 8)  # smooth, as the sky of a photograph
    for strange in (noise, photo, 1 - judged[:50]):
        features, _ = loaded.load_students(run_ids[2]).predict(strange)
        percentiles = [students.percentile(features[:, [i]], strange[[i]]) for i in range(len(strange))]
        assert np.mean(np.array(percentiles) >= 99.5) >= 0.95


def test_a_drawing_is_made_as_the_scans_were():
    ink = np.zeros((64, 64), np.uint8)
    ink[10:50, 30:40] = 255  # a one, wherever on the paper
    scan = scan_drawing(ink)
    assert scan.shape == (8, 8)
    assert scan.max() == 1
    assert (scan > 0).any(1).all()  # as high as a scan
    np.testing.assert_array_equal(scan_drawing(np.roll(ink, (9, -20), (0, 1))), scan)
    plain, striped = (trying.item_of_drawing("cluttered-digits", ink, each).inputs for each in (False, True))
    assert plain.shape == datasets.load("cluttered-digits").inputs[:1].shape
    assert 0.1 < (striped - plain)[0, 0].max() <= 0.2 + 1e-6
    with pytest.raises(ValueError, match="nothing is drawn"):
        trying.item_of_drawing("digits", np.zeros((64, 64), np.uint8))
    with pytest.raises(ValueError, match="holds no grey pictures"):
        trying.item_of_drawing("tones", ink)


def test_what_was_deleted_or_belongs_to_other_data_is_a_sentence(run_ids):
    with pytest.raises(ValueError, match="choose runs of one dataset"):
        trying.answer(trying.item_of_row("tones", 0), run_ids, run_ids[0])
    with pytest.raises(ValueError, match="rows 0 to"):
        trying.item_of_row("digits", 10**6)
    with pytest.raises(store.RunNotFoundError):
        trying.answer(trying.item_of_row("digits", 0), ["0" * 32], "0" * 32)
    with pytest.raises(ValueError, match="blank"):
        trying.item_of_text("digits", " ")


def test_the_item_is_on_the_maps_and_names_of_classes_are_escaped_there(run_ids):
    data = datasets.load("digits")
    row = int(data.labelled(stored_runs.SPEC.labels)[4])  # a training item: the map has it already
    answer = trying.answer(trying.item_of_row("digits", row), run_ids, run_ids[2])
    for drawn in trying.item_maps(answer, run_ids[2]).values():
        here = drawn.places[drawn.rows.tolist().index(row)]
        assert drawn.item == pytest.approx(here, abs=1e-2)
        assert len(drawn.nearest) == trying.NEIGHBOURS
    drawn = trying.item_maps(answer, run_ids[2])["student"]
    codes = data.labels[drawn.rows]
    figure = plot_item_map(drawn.places, codes, ["<b>x</b>"] * 10, ["#000000"] * 10, drawn.item, drawn.nearest)
    assert figure.data[0].text[0] == "&lt;b&gt;x&lt;/b&gt;"
    bare = plot_item_map(drawn.places, 0 * codes, ["a"], ["#000000"], None, drawn.nearest[:0])
    assert len(bare.data) == len(figure.data) - 1
