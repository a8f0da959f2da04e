"""Small models of the classes of the transformers library, with random weights."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any


def byte_tokenizer() -> Any:
    """A tokenizer of the library that knows every byte."""
    from tokenizers.pre_tokenizers import ByteLevel

    library: Any = importlib.import_module("transformers")
    marks = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    pieces = [*marks, *sorted(ByteLevel.alphabet())]
    return library.RobertaTokenizer(vocab={piece: n for n, piece in enumerate(pieces)}, merges=[])


def make_clap(folder: Path, *, fusion: bool = False) -> Path:
    """Save a small CLAP of the real classes with random weights."""
    import torch

    library: Any = importlib.import_module("transformers")
    text = {
        "vocab_size": 300,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "max_position_embeddings": 130,
    }
    audio = {
        "num_mel_bins": 16,
        "window_size": 4,
        "spec_size": 64,
        "patch_size": 2,
        "patch_stride": [2, 2],
        "hidden_size": 32,
        "patch_embeds_hidden_size": 16,
        "depths": [2, 2],
        "num_attention_heads": [2, 2],
        "num_hidden_layers": 2,
        "enable_fusion": fusion,
        "fusion_type": "aff_2d" if fusion else None,
    }
    torch.manual_seed(11)
    model = library.ClapModel(
        library.ClapConfig(projection_dim=20, text_config=text, audio_config=audio)
    )
    extractor = library.ClapFeatureExtractor(
        feature_size=16,
        max_length_s=1,
        frequency_min=50,
        truncation="fusion" if fusion else "rand_trunc",
    )
    model.save_pretrained(folder)
    library.ClapProcessor(feature_extractor=extractor, tokenizer=byte_tokenizer()).save_pretrained(
        folder
    )
    return folder


def make_pe_av(folder: Path, architecture: str) -> Path:
    """Save a small PE-AV of the real classes with random weights; timm knows the architecture."""
    import torch

    library: Any = importlib.import_module("transformers")
    layers: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
    layers |= {"num_attention_heads": 2, "head_dim": 16}
    text = {
        "model_type": "modernbert",
        "vocab_size": 300,
        "hidden_size": 24,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "pad_token_id": 1,
    }
    codec = {
        "model_type": "dac",
        "downsampling_ratios": [2, 8, 10, 12],
        "encoder_hidden_size": 2,
        "hidden_size": 16,
        "codebook_dim": 8,
    }
    frames = {
        "model_type": "timm_wrapper",
        "architecture": architecture,
        "do_pooling": True,
        "num_classes": 20,
    }
    config = library.PeAudioVideoConfig(
        text_config=text,
        audio_video_config={
            **layers,
            "audio_config": {"model_type": "pe_audio_encoder", **layers, "dac_config": codec},
            "video_config": {"model_type": "pe_video_encoder", **layers, "vision_config": frames},
        },
    )
    torch.manual_seed(15)
    model = library.PeAudioVideoModel(config)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):  # which would be zero, as in no trained model
            torch.nn.init.normal_(parameter, std=0.1)
    model.save_pretrained(folder)
    library.PeAudioVideoProcessor(
        feature_extractor=library.PeAudioFeatureExtractor(),
        video_processor=library.PeVideoVideoProcessor(
            size={"height": 64, "width": 64},
            do_resize=True,
            do_rescale=True,
            do_normalize=True,
            image_mean=[0.5] * 3,
            image_std=[0.5] * 3,
        ),
        tokenizer=byte_tokenizer(),
    ).save_pretrained(folder)
    return folder


def make_omni(folder: Path) -> Path:
    """Save a small EmbeddingGemma 2 of the real classes with random weights."""
    import torch
    from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, processors

    library: Any = importlib.import_module("transformers")
    marks = ["<pad>", "<eos>", "<bos>", "<unk>"]
    media = {
        "image_token": "<|image|>",
        "audio_token": "<|audio|>",
        "boi_token": "<|image>",
        "eoi_token": "<image|>",
        "boa_token": "<|audio>",
        "eoa_token": "<audio|>",
    }
    pieces = [*marks, *media.values(), "<|video|>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    vocabulary = {piece: n for n, piece in enumerate(pieces)}
    inner = Tokenizer(models.BPE(vocabulary, []))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.add_special_tokens([AddedToken(t, special=True) for t in (*media.values(), "<|video|>")])
    inner.post_processor = processors.TemplateProcessing(
        single="<bos> $A <eos>", special_tokens=[("<bos>", 2), ("<eos>", 1)]
    )
    tokenizer = library.PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token="<pad>",
        eos_token="<eos>",
        bos_token="<bos>",
        unk_token="<unk>",
        extra_special_tokens=media,
    )
    text = {
        "vocab_size": len(pieces),
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 16,
        "global_head_dim": 16,
        "hidden_size_per_layer_input": 8,
        "embedding_dim": 24,
        "sliding_window_pattern": 2,
    }
    vision = {
        "model_type": "gemma4_vision",
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "patch_size": 4,
        "position_embedding_size": 1024,
    }
    audio = {
        "model_type": "gemma4_audio",
        "hidden_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "subsampling_conv_channels": [16, 4],
        "output_proj_dims": 24,
    }
    config = library.EmbeddingGemma2Config(
        text_config=text,
        vision_config=vision,
        audio_config=audio,
        image_token_id=vocabulary["<|image|>"],
        audio_token_id=vocabulary["<|audio|>"],
        video_token_id=vocabulary["<|video|>"],
        boi_token_id=vocabulary["<|image>"],
        eoi_token_id=vocabulary["<image|>"],
        boa_token_id=vocabulary["<|audio>"],
        eoa_token_index=vocabulary["<audio|>"],
    )
    torch.manual_seed(17)
    model = library.EmbeddingGemma2Model(config)
    model.to(torch.bfloat16).save_pretrained(folder)  # as the hub has it
    library.EmbeddingGemma2Processor(
        feature_extractor=library.Gemma4AudioFeatureExtractor(feature_size=16),
        image_processor=library.Gemma4ImageProcessor(patch_size=4, max_soft_tokens=70),
        video_processor=library.EmbeddingGemma2VideoProcessor(patch_size=4, max_soft_tokens=70),
        tokenizer=tokenizer,
    ).save_pretrained(folder)
    return folder
