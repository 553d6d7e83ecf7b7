"""Networks in ONNX files as teachers: what the file says, how items get in, what comes out, how they are kept."""

from dataclasses import replace

import numpy as np
import onnx as onnx_library
import pytest
import torch
from torch.nn import functional

from kdlib import catalog
from kdlib.data import datasets
from kdlib.data.dataset import AUDIO, Dataset
from kdlib.data.intake import IntakeError, Limits
from kdlib.models import embedding, teachers
from kdlib.models.providers import onnx
from kdlib.models.providers.onnx.plan import Plan
from kdlib.models.providers.onnx.preparation import cut_wave, prepare, prepare_picture
from kdlib.models.providers.onnx.reading import cut, read_network
from kdlib.models.providers.onnx.running import Embedder, Runner, pool
from tests.evil_models import image_model, wave_model


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("KDLIB_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def network_of(tmp_path, model):
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    return read_network(tmp_path / "m.onnx", "m.onnx", Limits())


def plan_of(tmp_path, model, **wishes):
    return onnx.make_plan(network_of(tmp_path, model), onnx.Wishes(**wishes))


def runner_of(tmp_path, model, **wishes):
    plan = plan_of(tmp_path, model, **wishes)
    cut(model, plan.output, "m.onnx")
    (tmp_path / "cut.onnx").write_bytes(model.SerializeToString())
    return Runner(tmp_path / "cut.onnx", plan, "m.onnx")


def pictures(count, side=40):
    """Colour pictures, each of its own."""
    pixels = np.random.default_rng(0).integers(0, 256, (count, side, side + 10, 3), np.uint8)
    inputs = pixels.transpose(0, 3, 1, 2).astype(np.float32) / 255
    splits = {"train": np.arange(count)}
    return Dataset("many", inputs, np.zeros(count, np.int64), ("a",), splits, look=lambda row: pixels[row]), pixels


def test_what_the_file_says_is_filled_in(tmp_path):
    plan = plan_of(tmp_path, image_model(side=48))
    assert (plan.layout, plan.channels, plan.height, plan.width, plan.batch) == ("nchw", 3, 48, 48, 0)
    assert (plan.output, plan.modality) == ("logits", datasets.IMAGE)
    assert plan.std == (0.229, 0.224, 0.225), "three channels are likely to be those of ImageNet"
    grey = plan_of(tmp_path, image_model(side="side", batch=4, channels=1, nhwc=True), size=64)
    assert (grey.layout, grey.channels, grey.height, grey.width, grey.batch) == ("nhwc", 1, 64, 64, 4)
    assert (grey.mean, grey.std) == ((0.0,), (1.0,))


@pytest.mark.parametrize("axes", ["ns", "n1s", "ns1"])
@pytest.mark.parametrize("samples", ["samples", 8000])
def test_the_axes_of_waves_are_understood(axes, samples, tmp_path):
    plan = plan_of(tmp_path, wave_model(samples, axes), rate=8000)
    assert (plan.modality, plan.layout, plan.rate) == (AUDIO, axes, 8000)
    assert plan.samples == (8000 if samples == 8000 else 0)


@pytest.mark.parametrize(
    ("wishes", "message"),
    [
        ({"size": 64}, "takes pictures of 32 × 32 only, got size 64"),
        ({"input": "waveform"}, "n × 3 × 32 × 32; expected a wave"),
        ({"input": "video"}, "unknown input 'video', choose one of: image, waveform"),
        ({"preset": "vgg"}, "unknown preset 'vgg', choose one of: imagenet, clip, dino, none"),
        ({"pool": "max"}, "unknown pool 'max'"),
        ({"output": "x"}, "no tensor 'x'; its outputs are 'logits'"),
        ({"output": "places", "pool": "cls"}, "takes the first of several tokens"),
        ({"mean": (1.0, 2.0)}, "mean has 2 numbers, expected 1 or 3"),
        ({"std": (0.0,)}, "must be above 0"),
    ],
)
def test_a_wish_that_does_not_fit_is_refused_in_words(wishes, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        plan_of(tmp_path, image_model(), **wishes)


def test_outputs_come_first_and_inner_tensors_have_shapes(tmp_path):
    network = network_of(tmp_path, image_model())
    listed = [(each.name, each.describe_shape(), each.operation) for each in network.tensors]
    assert listed[:2] == [("logits", "n × 5", "MatMul"), ("features", "n × 8", "Flatten")]
    assert listed[-1] == ("map", "n × 8 × 8 × 8", "Conv")
    assert network.parameters == 8 * 3 * 4 * 4 + 8 * 5


def test_a_picture_of_the_right_size_is_only_scaled(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    plan = plan_of(tmp_path, image_model(), preset="clip")
    mean, std = np.array(plan.mean), np.array(plan.std)
    expected = ((pixels / 255 - mean) / std).transpose(2, 0, 1)[None]
    np.testing.assert_allclose(prepare_picture(pixels, plan), expected, atol=1e-5)
    plan = plan_of(tmp_path, image_model(nhwc=True), preset="none", mean=(0.0,), std=(1 / 255,))
    np.testing.assert_allclose(prepare_picture(pixels, plan), pixels[None], atol=1e-4)


def test_the_shorter_side_is_resized_and_the_centre_cut_out(tmp_path):
    """A ramp from left to right, four times as wide as high: the middle of it is seen, as steep as before."""
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None], 64, axis=0)
    plan = plan_of(tmp_path, image_model(), preset="none")
    seen = 255 * prepare_picture(np.stack([ramp] * 3, -1), plan)[0, 0]
    np.testing.assert_allclose(seen[16], 96.5 + 2 * np.arange(32), atol=1)
    np.testing.assert_allclose(seen, seen[:1].repeat(32, axis=0), atol=1)
    margin = plan_of(tmp_path, image_model(), preset="imagenet", mean=(0.0,), std=(1.0,))
    closer = 255 * prepare_picture(np.stack([ramp] * 3, -1), margin)[0, 0]
    assert np.ptp(closer[16]) == pytest.approx(np.ptp(seen[16]) * 224 / 256, abs=2)


def test_items_that_cannot_be_seen_are_refused_in_words(tmp_path):
    data, _ = pictures(1)
    with pytest.raises(ValueError, match="many has no pictures, which this teacher looks at"):
        prepare(replace(data, look=None), 0, plan_of(tmp_path, image_model()))


def test_a_wave_keeps_its_pitch_and_loudness_at_another_rate(tmp_path):
    plan = plan_of(tmp_path, wave_model(), rate=16_000)
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(44_100) / 44_100)
    data = Dataset("tone", np.zeros((1, 1)), np.zeros(1, np.int64), ("a",), {}, listen=lambda _: (44_100, tone))
    seen = prepare(data, 0, plan)[0]
    assert len(seen) == 16_000
    assert np.abs(np.fft.rfft(seen)).argmax() == 440
    assert np.abs(seen[100:-100]).max() == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(("length", "pieces"), [(100, 1), (8000, 1), (11_999, 1), (12_000, 2), (24_000, 3)])
def test_a_wave_is_cut_into_pieces_of_the_length_that_the_network_wants(length, pieces, tmp_path):
    plan = plan_of(tmp_path, wave_model(8000, "ns1"), rate=8000)
    wave = np.random.default_rng(0).normal(size=length).astype(np.float32)
    seen = cut_wave(wave, plan)
    assert seen.shape == (pieces, 8000, 1)
    used = wave[: 8000 * pieces]
    np.testing.assert_array_equal(seen.reshape(-1)[: len(used)], used)
    assert not seen.reshape(-1)[len(used) :].any()


def test_sounds_without_recordings_are_refused_in_words(tmp_path):
    data = Dataset("grams", np.zeros((1, 1, 8, 8), np.float32), np.zeros(1, np.int64), ("a",), {}, modality=AUDIO)
    with pytest.raises(ValueError, match="grams has no recordings"):
        prepare(data, 0, plan_of(tmp_path, wave_model()))


def reference(model, images):
    """What torch makes of the good model: the mean over places of a rectified convolution."""
    kernel = torch.from_numpy(onnx_library.numpy_helper.to_array(model.graph.initializer[0]).copy())
    return functional.relu(functional.conv2d(torch.from_numpy(images), kernel, stride=4)).mean((2, 3)).numpy()


@pytest.mark.parametrize(("batch", "nhwc"), [("n", False), ("n", True), (1, False), (4, False), (100, True)])
def test_embeddings_are_those_of_torch_whatever_the_batch(batch, nhwc, tmp_path):
    model = image_model(batch=batch, nhwc=nhwc)
    data, _ = pictures(21)
    plan = plan_of(tmp_path, image_model(nhwc=False), output="features")
    images = np.concatenate([prepare(data, row, plan) for row in range(21)])
    embedder = Embedder(runner_of(tmp_path, image_model(batch=batch, nhwc=nhwc), output="features"))
    expected = reference(model, images)
    np.testing.assert_allclose(embedder(data, np.arange(21)), expected, atol=1e-5)
    mixed = np.array([3, 20, 0, 7])
    np.testing.assert_allclose(embedder(data, mixed), expected[mixed], atol=1e-5)


def test_rows_that_were_prepared_ahead_are_the_right_ones(tmp_path):
    data, pixels = pictures(40)
    other = replace(data, name="other", look=lambda row: pixels[39 - row])
    runner = runner_of(tmp_path, image_model(), output="features")
    embedder, expected = Embedder(runner), Embedder(runner)(data, np.arange(40))
    for rows in (np.arange(10), np.arange(10, 20), np.arange(19, 30), np.arange(5), np.arange(35, 40), np.arange(5)):
        np.testing.assert_allclose(embedder(data, rows), expected[rows], atol=1e-6)
    np.testing.assert_allclose(embedder(other, np.arange(5, 9)), expected[::-1][5:9], atol=1e-6)


def test_pools_take_what_they_say():
    tokens = np.random.default_rng(0).normal(size=(2, 5, 3)).astype(np.float32)
    places = np.random.default_rng(0).normal(size=(2, 3, 4, 4)).astype(np.float32)

    def pooled(values, how, features):
        return pool(values, Plan("image", "nchw", "float", 0, "x", how, features), "m")

    np.testing.assert_allclose(pooled(tokens, "mean", "last"), tokens.mean(1), rtol=1e-6)
    np.testing.assert_allclose(pooled(tokens, "mean", "first"), tokens.mean(2), rtol=1e-6)
    np.testing.assert_array_equal(pooled(tokens, "cls", "last"), tokens[:, 0])
    np.testing.assert_allclose(pooled(places, "mean", "first"), places.mean((2, 3)), rtol=1e-5)
    np.testing.assert_allclose(pooled(places, "mean", "last"), places.mean((1, 2)), rtol=1e-5)
    np.testing.assert_array_equal(pooled(places, "flatten", "first"), places.reshape(2, 48))
    with pytest.raises(IntakeError, match="cls takes tokens"):
        pooled(places, "cls", "first")


def test_recordings_of_any_length_and_in_pieces_are_embedded(tmp_path):
    rng = np.random.default_rng(0)
    waves = [rng.normal(size=length).astype(np.float32) for length in (8000, 9000, 30_000)]
    heard = {"modality": AUDIO, "listen": lambda row: (8000, waves[row])}
    data = Dataset("waves", np.zeros((3, 1)), np.zeros(3, np.int64), ("a",), {}, **heard)
    expected = np.array([[wave.mean(), (wave**2).mean()] for wave in waves])
    whole = Embedder(runner_of(tmp_path, wave_model(), rate=8000))
    np.testing.assert_allclose(whole(data, np.arange(3)), expected, atol=1e-5)
    pieces = Embedder(runner_of(tmp_path, wave_model(1000, "n1s"), rate=8000))
    np.testing.assert_allclose(pieces(data, np.arange(3)), expected, atol=1e-5)


def added(tmp_path, name, model=None, **wishes):
    (tmp_path / "m.onnx").write_bytes((model or image_model()).SerializeToString())
    draft = onnx.stage(tmp_path / "m.onnx")
    plan = onnx.make_plan(draft.network, onnx.Wishes(**wishes))
    return onnx.keep_draft(draft, plan, onnx.try_out(draft, plan), name, onnx.About("ImageNet", True, "MIT"))


def test_an_added_network_is_a_teacher_like_any_other(tmp_path, home):
    assert added(tmp_path, "tiny", output="features") == "onnx:tiny"
    assert {each.name for each in (home / "teachers" / "tiny").iterdir()} == {"card.json", "model.onnx"}
    assert {path.stat().st_mode & 0o077 for path in (home / "teachers").rglob("*")} == {0}
    stored = onnx_library.load(home / "teachers" / "tiny" / "model.onnx")
    assert [each.name for each in stored.graph.initializer] == ["kernel"], "the classifier is not needed"
    entry = next(each for each in catalog.list_entries("teachers") if each["name"] == "onnx:tiny")
    assert (entry["takes"], entry["supervision"], entry["source task"]) == ("images", "supervised", "ImageNet")
    assert "onnx:tiny" in teachers.compatible_teachers("digits")
    assert "onnx:tiny" not in teachers.compatible_teachers("tones")
    card = teachers.get_teacher("onnx:tiny").describe()
    assert (card["parameters"], card["width"], card["licence"], card["comes from"]) == ("424", "8", "MIT", "m.onnx")
    rows = embedding.embed("onnx:tiny", "digits")
    plan = plan_of(tmp_path, image_model())
    shown = [prepare(datasets.load("digits"), row, plan) for row in (0, 1234)]
    np.testing.assert_allclose(rows[[0, 1234]], reference(image_model(), np.concatenate(shown)), atol=1e-5)


def test_a_name_stands_for_one_network_for_good(tmp_path):
    """Runs say which teacher they had by its name, and what was computed is found again by it."""
    added(tmp_path, "tiny", output="features")
    with pytest.raises(IntakeError, match="there is a teacher onnx:tiny already"):
        added(tmp_path, "tiny", output="features")
    onnx.remove("onnx:tiny")
    with pytest.raises(ValueError, match="there is no teacher onnx:tiny; kdlib teacher add adds one"):
        teachers.get_teacher("onnx:tiny")
    with pytest.raises(IntakeError, match="was another network before it was removed"):
        added(tmp_path, "tiny", output="logits")
    assert added(tmp_path, "tiny", output="features") == "onnx:tiny"


@pytest.mark.parametrize("name", ["", "Tiny", "../x", ".x", "a/b", "a" * 41, "a:b"])
def test_a_name_that_cannot_be_a_folder_is_refused(name, tmp_path):
    with pytest.raises(IntakeError, match="a teacher's name has 1 to 40"):
        added(tmp_path, name)


def test_another_tensor_pool_or_scale_is_another_key_in_the_cache(tmp_path):
    keys = set()
    for number, wishes in enumerate([{}, {"output": "features"}, {"output": "places"}, {"preset": "clip"}]):
        name = added(tmp_path, f"t{number}", **wishes)
        keys.add(embedding.provenance(name)["version"])
    assert len(keys) == 4


def test_a_damaged_card_hides_no_other_teacher(tmp_path, home):
    added(tmp_path, "good")
    for name, text in (("bad", "{"), ("list", "[]"), ("other", (home / "teachers/good/card.json").read_text())):
        (home / "teachers" / name).mkdir()
        (home / "teachers" / name / "card.json").write_text(text)
    assert list(onnx.list_teachers()) == ["onnx:good"]
