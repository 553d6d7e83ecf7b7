"""What Start sends to its picture: steps of equal epochs, recorded, live and over; the sentence; times in words."""

import base64
import dataclasses

import numpy as np
import pytest

from kdlib.analysis.verdicts import describe_kept
from kdlib.recording import load_recording
from kdlib.results import Point
from kdlib.spec import RunSpec
from kdlib.summary import Probe, Summary
from pages import story
from pages.text import describe_range

SPECS = [RunSpec(method=method, epochs=30) for method in ("baseline", "raw", "mlp")]


def points(*epochs: int) -> list[Point]:
    return [Point(epoch, val=[epoch / 100]) for epoch in epochs]


def test_a_live_step_stands_at_the_last_epoch_of_all_three():
    epoch, step = story.live_step(SPECS, [points(1, 2, 3, 4), points(1, 2), points(1, 2, 3)], None)
    assert epoch == 2
    assert step["bars"] == pytest.approx([0.02, 0.02, 0.02])
    assert step["when"] == "after epoch 2 of 30"
    assert not step["final"]
    assert step["frame"] == -1


def test_before_the_first_epoch_of_all_three_no_bar_moves():
    _, step = story.live_step(SPECS, [points(1), [], points(1, 2)], None)
    assert step["bars"] == [None, None, None]
    assert "waiting" in step["when"]


def test_the_recorded_race_has_a_step_for_each_snapshot_and_ends_on_the_test_set():
    race = load_recording()
    steps = story.past_steps(race.results, [result.history for result in race.results], race.formation)
    assert len(steps) == len(race.formation.epochs) + 1
    assert steps[0]["bars"] == [None, None, None]
    assert [step["frame"] for step in steps[:-1]] == list(range(len(steps) - 1))
    last = steps[-1]
    assert last["final"]
    assert last["bars"] == [result.score("test").mean for result in race.results]
    assert last["intervals"] == [result.score("test").ci95 for result in race.results]
    names = list(race.formation.known)
    compressed = race.results[-1].attributes["background"].compressed
    assert last["after"][names.index("background")] == compressed.mean


def test_a_race_without_snapshots_still_shows_its_outcome():
    race = load_recording()
    [only] = story.past_steps(race.results, [[], [], []], None)
    assert only["final"]
    assert only["frame"] == -1
    assert only["bars"][0] == race.results[0].score("test").mean


def test_places_are_packed_space_after_space():
    places = {name: np.full((2, 3, 2), value, np.float32) for name, value in (("raw", 0.5), ("student", -1.0))}
    numbers = np.frombuffer(base64.b64decode(story.pack_places(places)), "<i2").reshape(2, 3, 3, 2)
    assert numbers[:, 0].tolist() == np.full((2, 3, 2), 5000).tolist()
    assert (numbers[:, 2] == -10_000).all()
    assert np.abs(numbers[:, 1]).min() > 30_000, "a space that is missing is not drawn in the middle"


def test_places_beyond_what_the_numbers_hold_once_wrapped_round():
    numbers = np.frombuffer(base64.b64decode(story.pack_places({"raw": np.full((1, 1, 2), 9.0)})), "<i2")
    assert numbers.min() > 0


def test_the_sentence_says_what_was_kept_and_what_was_thrown_away():
    sentence = describe_kept(load_recording().results[-1])
    assert sentence.startswith("Of what the teacher knew, the 16 new numbers hold the target (")
    assert "thrown away: background (" in sentence
    assert "position (" in sentence
    assert "rotation" not in sentence, "the teacher did not know it either"


def test_a_compressor_that_keeps_everything_is_not_said_to_throw_away():
    result = load_recording().results[-1]
    same = {name: Probe(0.1, Summary(0.9, None), Summary(0.89, 0.02)) for name in ("background", "position")}
    assert describe_kept(dataclasses.replace(result, attributes=same)).endswith("nothing else was clearly thrown away.")
    assert "and background (90 → 89 %) and position" in describe_kept(dataclasses.replace(result, attributes=same))


def test_a_baseline_and_raw_keep_and_throw_away_nothing():
    assert [describe_kept(result) for result in load_recording().results[:2]] == ["", ""]


def test_ranges_are_told_in_round_numbers():
    pairs = [(1, 3), (7, 12), (22, 38), (44, 78), (100, 170), (70, 300), (24, 170), (8, 170)]
    words = ["up to 5 s", "5 to 15 s", "20 to 40 s", "40 to 80 s", "1 to 3 min", "1 to 5 min"]
    words += ["20 s to 3 min", "up to 3 min"]
    assert [describe_range(*pair) for pair in pairs] == words
