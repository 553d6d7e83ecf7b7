"""Tiny networks with random weights, saved by the libraries themselves into a cache as downloads make it."""

from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def snapshot(cache: Path, repository: str) -> Path:
    """Return the empty folder of a repository's only commit in a cache of huggingface_hub."""
    model = cache / f"models--{repository.replace('/', '--')}"
    folder = model / "snapshots" / COMMIT
    folder.mkdir(parents=True)
    (model / "refs").mkdir()
    (model / "refs" / "main").write_text(COMMIT)
    return folder


def save_vit(folder: Path, pooler: bool = True) -> None:
    """Save a vision transformer of width 16."""
    import torch
    from transformers import ViTConfig, ViTImageProcessor, ViTModel

    torch.manual_seed(0)
    config = ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, image_size=32, patch_size=16
    )
    ViTModel(config, add_pooling_layer=pooler).save_pretrained(folder)
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    (folder / "README.md").write_text("---\nlicense: apache-2.0\ntags: [vision]\n---\n# A tiny network\n")


def save_wav2vec(folder: Path) -> None:
    """Save a speech network of width 16."""
    import torch
    from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

    torch.manual_seed(0)
    config = Wav2Vec2Config(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        conv_dim=(8, 8),
        conv_kernel=(10, 8),
        conv_stride=(5, 4),
        num_feat_extract_layers=2,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=2,
    )
    Wav2Vec2Model(config).save_pretrained(folder)
    Wav2Vec2FeatureExtractor(sampling_rate=16000).save_pretrained(folder)


def save_timm(folder: Path) -> None:
    """Save a small residual network as timm's repositories hold it."""
    import timm
    import torch

    torch.manual_seed(0)
    model = timm.create_model("resnet10t", pretrained=False, num_classes=5)
    timm.models.save_for_hf(model, folder, safe_serialization=True)


def make_bundle(folder: Path):
    """Return a bundle of torchaudio of width 16, whose weights are in a folder."""
    import torch
    from torchaudio import pipelines
    from torchaudio.pipelines._wav2vec2 import utils

    torch.manual_seed(0)
    parameters = pipelines.WAV2VEC2_BASE._params | {
        "extractor_conv_layer_config": [(8, 10, 5), (8, 8, 4)],
        "encoder_embed_dim": 16,
        "encoder_num_layers": 2,
        "encoder_num_heads": 2,
        "encoder_ff_interm_features": 16,
        "encoder_pos_conv_kernel": 16,
        "encoder_pos_conv_groups": 2,
    }
    folder.mkdir()
    torch.save(utils._get_model("Wav2Vec2", parameters).state_dict(), folder / "tiny.pth")
    return pipelines.Wav2Vec2Bundle("tiny.pth", parameters, 16000, False, _model_type="Wav2Vec2")
