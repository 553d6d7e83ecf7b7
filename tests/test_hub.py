"""Networks out of hubs: from a local cache to embeddings, by the libraries' own loading code and without a network.

What a library is missing for is skipped: `make hub` installs them, and `make test` does so.
"""

import importlib
import json
import types

import numpy as np
import pytest
import torch

from kdlib.cli.main import main
from kdlib.data import datasets
from kdlib.data.dataset import AUDIO, IMAGE
from kdlib.models import embedding, teachers
from kdlib.models.providers import list_model_teachers
from kdlib.models.providers.hub import cards, files, loading
from kdlib.models.providers.hub.adding import add
from tests import hub_models

ROWS = np.arange(3)


def library(name):
    """Return a library, or skip where it cannot be loaded."""
    loading.declare_torchvision_operators()
    try:
        return importlib.import_module(name)
    except (ImportError, OSError, RuntimeError) as error:
        pytest.skip(f"{name} cannot be loaded: {error}")


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """Cards of its own for each test, and no way to the hub."""
    monkeypatch.setenv("KDLIB_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(files, "_download_snapshot", lambda *_: pytest.fail("asked the hub"))


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache of huggingface_hub."""
    library("transformers")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    return tmp_path / "cache"


@pytest.mark.parametrize(
    "name",
    [
        "hf:../../etc/passwd",
        "hf:a/..",
        "hf:/etc/passwd",
        "hf:https://example.org/model",
        "hf:a/b/c",
        "hf:a b",
        "hf:",
        "hf:-rf",
        "hf:näme/x",
        "hf:a/b\n",
        "timm:a/b",
        "timm:../x",
        "torchaudio:os.system",
        "torchaudio:__dict__",
    ],
)
def test_what_is_no_name_of_a_model_is_refused_before_anything_is_loaded(name, monkeypatch):
    monkeypatch.setattr(loading, "load_library", lambda scheme: pytest.fail("loaded"))
    for function in (add, teachers.get_teacher, cards.remove):
        with pytest.raises(ValueError, match="is called like"):
            function(name)


@pytest.mark.parametrize("revision", ["../main", "a/b", "http://x", "a\nb"])
def test_what_is_no_revision_is_refused(revision):
    with pytest.raises(ValueError, match="a revision is a commit, branch or tag"):
        add("hf:tiny/vit", revision)


@pytest.mark.parametrize(
    ("name", "package"), [("hf:a/b", "transformers"), ("timm:a", "timm"), ("torchaudio:A", "torchaudio")]
)
def test_a_library_that_is_missing_or_broken_is_named_with_the_way_out(name, package, monkeypatch):
    monkeypatch.setattr(loading, "find_spec", lambda _name: None)
    with pytest.raises(ValueError, match=f"needs the package {package}, which is not installed; `make hub`"):
        add(name)
    ours = types.SimpleNamespace(PACKAGE=package)

    def import_module(wanted):
        if wanted == package:
            raise OSError("libc10_cuda.so")
        return ours

    monkeypatch.setattr(loading, "find_spec", lambda _name: True)
    monkeypatch.setattr(loading, "import_module", import_module)
    with pytest.raises(ValueError, match=f"{package}, which cannot be loaded here; `make hub`"):
        add(name)


def test_what_was_not_added_says_how():
    with pytest.raises(ValueError, match="hf:tiny/vit was not added yet; `kdlib teacher add hf:tiny/vit`"):
        teachers.get_teacher("hf:tiny/vit")


def test_a_picture_model_of_the_cache_becomes_a_teacher(cache):
    from transformers import ViTImageProcessorPil, ViTModel

    folder = hub_models.snapshot(cache, "tiny/vit")
    hub_models.save_vit(folder)
    card = add("hf:tiny/vit", source_task="nothing", supervised=False)
    assert (card.revision, card.modality, card.width, card.licence) == (hub_models.COMMIT, IMAGE, 16, "apache-2.0")
    assert card.seconds_per_item > 0
    teacher, digits = teachers.get_teacher("hf:tiny/vit"), datasets.load("digits")
    assert list_model_teachers()["hf:tiny/vit"].source_task == "nothing"
    assert "hf:tiny/vit" in teachers.compatible_teachers("digits")
    assert (teacher.width, teacher.weights_hash, teacher.supervised) == (16, card.weights_hash, False)
    got = teacher.load()(digits, ROWS)
    model, prepare = ViTModel.from_pretrained(folder).eval(), ViTImageProcessorPil.from_pretrained(folder)
    with torch.inference_mode():
        expected = [model(**prepare(digits.look(row), return_tensors="pt")).pooler_output[0].numpy() for row in ROWS]
    np.testing.assert_allclose(got, expected, atol=1e-5)
    np.testing.assert_allclose(teacher.load()(digits, ROWS[1:2]), got[1:2], atol=1e-6)
    assert embedding.embedding_width("hf:tiny/vit", "digits") == 16
    cards.remove("hf:tiny/vit")
    assert "hf:tiny/vit" not in list_model_teachers()


def test_the_command_line_adds_shows_and_removes_it(cache, capsys):
    hub_models.save_vit(hub_models.snapshot(cache, "tiny/vit"))
    assert main(["teacher", "add", "hf:tiny/vit", "--source-task", "views", "--supervision", "unsupervised"]) == 0
    assert capsys.readouterr().out.endswith(f"kept as hf:tiny/vit at revision {hub_models.COMMIT}\n")
    assert main(["teacher", "show", "hf:tiny/vit"]) == 0
    out = capsys.readouterr().out
    assert "source task: views" in out
    assert "supervision: unsupervised" in out
    assert main(["teacher", "remove", "hf:tiny/vit"]) == 0
    assert main(["teacher", "show", "hf:tiny/vit"]) == 2
    assert main(["teacher", "add", "hf:../../etc"]) == 2


def test_a_pooler_that_the_files_lack_is_not_made_of_random_numbers(cache):
    from transformers import ViTImageProcessorPil, ViTModel

    folder = hub_models.snapshot(cache, "tiny/headless")
    hub_models.save_vit(folder, pooler=False)
    add("hf:tiny/headless")
    digits = datasets.load("digits")
    got = teachers.get_teacher("hf:tiny/headless").load()(digits, ROWS[:1])
    model = ViTModel.from_pretrained(folder, add_pooling_layer=False).eval()
    with torch.inference_mode():
        given = ViTImageProcessorPil.from_pretrained(folder)(digits.look(0), return_tensors="pt")
        tokens = model(**given).last_hidden_state[0]
    np.testing.assert_allclose(got[0], tokens.mean(0).numpy(), atol=1e-5)


def test_a_sound_model_of_the_cache_becomes_a_teacher(cache):
    hub_models.save_wav2vec(hub_models.snapshot(cache, "tiny/wav2vec"))
    card = add("hf:tiny/wav2vec")
    assert (card.modality, card.rate, card.width) == (AUDIO, 16000, 16)
    tones = datasets.load("tones")
    embed_rows = teachers.get_teacher("hf:tiny/wav2vec").load()
    got = embed_rows(tones, ROWS)
    assert np.isfinite(got).all()
    assert len(np.unique(got.round(6), axis=0)) == 3
    np.testing.assert_allclose(embed_rows(tones, ROWS[::-1])[::-1], got, atol=1e-6)


def test_weights_that_are_no_safetensors_are_refused(cache, monkeypatch):
    folder = hub_models.snapshot(cache, "tiny/pickled")
    hub_models.save_vit(folder)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    monkeypatch.setattr(files, "_download_snapshot", lambda *_: folder)
    with pytest.raises(ValueError, match="tiny/pickled has no weights as safetensors"):
        add("hf:tiny/pickled")


def test_code_of_a_model_never_runs(cache):
    folder = hub_models.snapshot(cache, "tiny/evil")
    hub_models.save_vit(folder)
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "evil", "auto_map": {"AutoConfig": "evil.Config", "AutoModel": "evil.Model"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "evil.py").write_text(f"open({str(cache / 'ran')!r}, 'w')\n")
    with pytest.raises(ValueError, match="hf:tiny/evil cannot be loaded"):
        add("hf:tiny/evil")
    assert not (cache / "ran").exists()
    assert not list_model_teachers().keys() & {"hf:tiny/evil"}


def test_files_that_lack_weights_or_a_processor_are_refused(cache):
    from safetensors.torch import load_file, save_file

    folder = hub_models.snapshot(cache, "tiny/half")
    hub_models.save_vit(folder)
    state = load_file(folder / "model.safetensors")
    save_file(
        {key: value for key, value in state.items() if "pooler" in key}, folder / "model.safetensors", {"format": "pt"}
    )
    with pytest.raises(ValueError, match="hf:tiny/half cannot be loaded: its files lack weights"):
        add("hf:tiny/half")
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(ValueError, match="takes neither pictures nor sounds"):
        add("hf:tiny/half")
    (folder / "model.safetensors").write_bytes(b"no tensors")
    (folder / "preprocessor_config.json").write_text("{}")
    with pytest.raises(ValueError, match="hf:tiny/half cannot be loaded"):
        add("hf:tiny/half")


def test_weights_that_changed_since_are_refused(cache):
    folder = hub_models.snapshot(cache, "tiny/vit")
    hub_models.save_vit(folder)
    add("hf:tiny/vit")
    with (folder / "model.safetensors").open("ab") as stream:
        stream.write(b" ")
    with pytest.raises(ValueError, match="weights of hf:tiny/vit changed since it was added"):
        teachers.get_teacher("hf:tiny/vit").load()


def test_what_is_gone_from_the_cache_is_not_downloaded_by_embedding(cache):
    folder = hub_models.snapshot(cache, "tiny/vit")
    hub_models.save_vit(folder)
    add("hf:tiny/vit")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ValueError, match=r"tiny/vit at 0123456789.* is not in the local cache of models"):
        teachers.get_teacher("hf:tiny/vit").load()


def test_a_hub_out_of_reach_is_a_sentence(cache, monkeypatch):
    monkeypatch.undo()
    library("huggingface_hub")

    def unreachable(*_args, **options):
        from huggingface_hub.errors import LocalEntryNotFoundError

        if options.get("local_files_only"):
            raise LocalEntryNotFoundError("not there")
        raise ConnectionError("no route")

    monkeypatch.setattr("huggingface_hub.snapshot_download", unreachable)
    with pytest.raises(ValueError, match=r"tiny/absent is not in the local cache of models and cannot be downloaded"):
        files.find_files("tiny/absent", "", download=True)


def test_a_damaged_card_hides_only_itself():
    card = cards.HubCard("timm:a", "0" * 40, "0" * 64, IMAGE, 0, 8, 100, 0.1)
    cards.write_card(card)
    (cards.home() / cards.FOLDER / "hf--b.json").write_text("{")
    assert cards.read_cards() == {"timm:a": card}
    assert cards.read_cards("hf") == {}


def test_a_network_of_timm_becomes_a_teacher(cache):
    timm = library("timm")
    folder = hub_models.snapshot(cache, "timm/resnet10t.tiny")
    hub_models.save_timm(folder)
    assert add("timm:resnet10t.tiny").width == 512
    digits = datasets.load("digits")
    embed_rows = teachers.get_teacher("timm:resnet10t.tiny").load()
    got = embed_rows(digits, ROWS)
    assert got.shape == (3, 512)
    np.testing.assert_allclose(embed_rows(digits, ROWS[::-1])[::-1], got, atol=1e-5)
    assert timm.create_model(f"local-dir:{folder}", pretrained=True, num_classes=0).num_features == 512


def test_a_bundle_of_torchaudio_becomes_a_teacher(tmp_path, monkeypatch):
    pipelines = library("torchaudio.pipelines")
    monkeypatch.setattr(pipelines, "TINY", hub_models.make_bundle(tmp_path / "checkpoints"), raising=False)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    assert add("torchaudio:TINY").width == 16
    embed_rows, tones = teachers.get_teacher("torchaudio:TINY").load(), datasets.load("tones")
    got = embed_rows(tones, ROWS)
    np.testing.assert_allclose(embed_rows(tones, ROWS[::-1])[::-1], got, atol=1e-5)
    with pytest.raises(ValueError, match="torchaudio has no bundle NOTHING"):
        add("torchaudio:NOTHING")
