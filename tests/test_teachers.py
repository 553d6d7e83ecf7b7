"""Every teacher: embeddings of the right shape, deterministic, row by row; the cards tell what was shipped."""

import dataclasses
import hashlib
import json

import numpy as np
import pytest
from safetensors.numpy import load_file

from kdlib.analysis.linear_probe import probe_accuracy
from kdlib.cli.main import main
from kdlib.data import datasets
from kdlib.models import embedding, encoder, pretraining, teachers
from kdlib.models.providers.built_in import TEACHERS


def some(modality: str):
    """Return some rows of a dataset of this modality."""
    data = datasets.load({"image": "cluttered-digits", "audio": "tones"}[modality])
    return dataclasses.replace(data, inputs=data.inputs[:50], labels=data.labels[:50], ids=data.ids[:50])


@pytest.mark.parametrize("name", list(TEACHERS))
def test_contract(name):
    few = some(TEACHERS[name].modality)
    embed_rows, rows = TEACHERS[name].load(), np.arange(50)
    embeddings = embed_rows(few, rows)
    assert embeddings.dtype == np.float32
    assert embeddings.shape == (50, encoder.WIDTH)
    assert np.isfinite(embeddings).all()
    np.testing.assert_array_equal(embeddings, TEACHERS[name].load()(few, rows))
    np.testing.assert_allclose(embed_rows(few, rows[::-1])[::-1], embeddings, atol=1e-5)
    np.testing.assert_allclose(embed_rows(few, rows[7:9]), embeddings[7:9], atol=1e-5)


@pytest.mark.parametrize("name", list(TEACHERS))
def test_the_card_belongs_to_the_weights(name):
    card = json.loads((encoder.WEIGHTS / f"{name}.json").read_text())
    weights = load_file(encoder.WEIGHTS / f"{name}.safetensors")
    joined = b"".join(weights[key].tobytes() for key in sorted(weights))
    assert card["weights_sha256"] == hashlib.sha256(joined).hexdigest()
    assert card["name"] == name
    assert card["labels_used"] is bool(TEACHERS[name].supervised)
    assert {"data", "seed", "version", "source_task", "probe_accuracy"} <= set(card)


def test_the_probes_on_a_card_can_be_measured_again():
    data = datasets.load("cluttered-digits")
    embeddings, train, test = embedding.embed("parity", "cluttered-digits"), data.labelled(1000), data.splits["test"]
    recorded = TEACHERS["parity"].card["probe_accuracy"]["target"]
    assert probe_accuracy(embeddings[train], data.labels[train], embeddings[test], data.labels[test]) == pytest.approx(
        recorded, abs=0.01
    )


def test_teachers_know_what_their_source_task_asked_for():
    known = {name: TEACHERS[name].card["probe_accuracy"] for name in TEACHERS}
    assert known["background"]["background"] > 0.9
    assert known["background"]["target"] < 0.2
    assert known["simclr"]["target"] > 0.7
    assert known["autoencoder"]["target"] > known["random"]["target"]
    assert known["tones-pitch"]["pitch"] > max(
        known[f"tones-{other}"]["pitch"] for other in ("random", "simclr", "autoencoder")
    )
    assert known["tones-simclr"]["target"] > known["tones-autoencoder"]["target"] > known["tones-random"]["target"]


def test_a_teacher_is_not_asked_about_what_it_does_not_take():
    with pytest.raises(
        ValueError,
        match=r"teacher simclr takes images, but tones holds sounds, choose one of: tones-autoencoder, .*random",
    ):
        embedding.embed("simclr", "tones")
    with pytest.raises(ValueError, match="takes sounds, but digits holds images"):
        teachers.check_compatible("tones-pitch", "digits")
    own = [name for name in teachers.compatible_teachers("mixtures") if ":" not in name]
    assert own == [name for name in TEACHERS if name.startswith("tones-")]


def test_plain_digits_go_on_an_empty_canvas():
    image = np.ones((2, 1, 8, 8), np.float32)
    canvas = encoder.to_canvas(image).numpy()
    assert canvas.shape == (2, 1, 16, 16)
    assert canvas[0, 0, 4:12, 4:12].min() == 1
    assert canvas.sum() == image.sum()
    assert encoder.to_canvas(np.ones((1, 3, 40, 30), np.float32)).shape == (1, 1, 16, 16)


@pytest.mark.parametrize("name", ["simclr", "tones-simclr", "tones-autoencoder"])
def test_pretraining_again_gives_the_same_weights(name, monkeypatch):
    objective = dataclasses.replace(pretraining.OBJECTIVES[name], epochs=1)
    monkeypatch.setitem(pretraining.OBJECTIVES, name, objective)
    data = datasets.load(objective.data)
    few = dataclasses.replace(data, splits={"train": np.arange(256)})
    first, second = (pretraining.pretrain(name, few).state_dict() for _ in range(2))
    assert all((first[key] == second[key]).all() for key in first)


@pytest.mark.parametrize("name", ["random", "tones-random"])
def test_the_command_builds_the_shipped_controls_again(name, tmp_path, capsys):
    assert main(["teacher", "build", name, "--folder", str(tmp_path), "--quiet"]) == 0
    assert "probe accuracy" in capsys.readouterr().out
    assert (tmp_path / f"{name}.safetensors").read_bytes() == (encoder.WEIGHTS / f"{name}.safetensors").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in TEACHERS if TEACHERS[name].supervised is not None])
def test_the_command_builds_teachers_as_good_as_the_shipped_ones(name, tmp_path):
    card = pretraining.build(name, probe_accuracy, tmp_path)
    for key, value in TEACHERS[name].card["probe_accuracy"].items():
        assert card["probe_accuracy"][key] == pytest.approx(value, abs=0.05)  # other processors add up in another order
