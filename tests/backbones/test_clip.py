"""CLIP equals the official one, reads any text to its end, and passes gradients to the pixels."""

import dataclasses
import random

import pytest
import torch

from faceedit.backbones.clip import PREPROCESSOR, Clip, ClipConfig
from faceedit.backbones.clip_tokenizer import build_tokenizer
from faceedit.convert.clip import clip_config, convert_clip
from faceedit.errors import RepoError
from tests.conftest import make_clip
from tests.golden import official

TINY = ClipConfig(
    image_size=224,
    patch_size=112,
    vision_width=8,
    vision_layers=1,
    vision_heads=1,
    text_width=8,
    text_layers=1,
    text_heads=1,
    vocab_size=600,
    start_token=598,
    end_token=599,
    embed_dim=4,
)


def official_clip(name: str) -> tuple[Clip, official.Golden]:
    golden = official.load(name)
    weights = golden.state_dict()
    config = dataclasses.replace(
        clip_config(weights), text_heads=golden.parameters["transformer_heads"]
    )
    clip = Clip(config).eval()
    clip.model.load_state_dict(convert_clip(weights), strict=True)
    return clip, golden


@pytest.mark.parametrize(
    "name", ["openai_clip_small", pytest.param("openai_clip_vit_b32", marks=pytest.mark.slow)]
)
@torch.no_grad()
def test_embeddings_match_official_numbers(name):
    clip, golden = official_clip(name)
    image = clip.model.image_features(golden.input("image"))
    tokens = torch.from_numpy(golden.values["tokens__val"])
    text = clip.model.text_features(tokens)
    for output, mine in (("image_features", image), ("text_features", text)):
        difference, allowed = golden.difference(output, mine)
        assert difference <= allowed


@torch.no_grad()
def test_frames_of_the_web_are_read_once_and_sentences_in_them_the_same():
    house = make_clip().eval()
    web = make_clip().eval()
    web.config = dataclasses.replace(web.config, wording="web")
    frames = ("{}", "a bad photo of a {}.", "the {} in a toy.", "a sad photo of a {}.")
    texts = ["red", "an old face", "hat"]
    shapes = []
    web.model.text_model.encoder.layers[0].register_forward_pre_hook(
        lambda _, given: shapes.append(tuple(given[0].shape[:2]))
    )
    first = web.encode_framed(texts, frames)
    assert torch.allclose(first, house.encode_framed(texts, frames), atol=1e-5)
    assert not torch.allclose(first[0, 0], first[0, 1], atol=1e-3)
    shapes.clear()
    again = web.encode_framed(["red hat", "hat"], frames)
    assert torch.allclose(again, house.encode_framed(["red hat", "hat"], frames), atol=1e-5)
    own = [f"{text}{rest}" for text in ("red hat", "hat") for rest in ("", ".", " in a toy.")]
    lengths = {len(row) - 1 for row in web.token_rows(own)}
    assert {length for _, length in shapes} == lengths  # nothing of a frame's beginning
    assert sum(rows for rows, _ in shapes) == 2 * len(frames)


@pytest.mark.parametrize(
    ("pixels", "official_name", "sizes"),
    [("styleclip", "styleclip", (32, 64, 128)), ("openai", "clippae", (64, 256))],
)
def test_pixels_match_official_numbers(pixels, official_name, sizes):
    golden = official.load("clip_preprocess")
    clip = Clip(dataclasses.replace(TINY, pixels=pixels))
    for size in sizes:
        mine = clip.pixels(golden.input(f"image_{size}"))
        difference, allowed = golden.difference(f"{official_name}_{size}", mine)
        assert difference <= allowed


def test_official_sizes_are_the_defaults():
    sizes = official.load("openai_clip_vit_b32").parameters
    config = ClipConfig()
    assert (config.image_size, config.patch_size) == (224, sizes["vision_patch_size"])
    assert (config.vocab_size, config.embed_dim) == (sizes["vocab_size"], sizes["embed_dim"])


def test_conversion_refuses_other_weights():
    with pytest.raises(ValueError, match=r"visual\.proj"):
        clip_config({"g_ema": torch.zeros(1)})
    with pytest.raises(ValueError, match="unknown key"):
        convert_clip({"visual.layer4.0.conv1.weight": torch.zeros(1)})


def test_embeddings_have_unit_length(backbones):
    image = backbones.clip.encode_image(torch.rand(2, 3, 48, 48) * 2 - 1)
    text = backbones.clip.encode_text(["red hair", "a man with a beard"])
    for vectors in (image, text):
        assert torch.allclose(vectors.norm(dim=1), torch.ones(2), atol=1e-5)


def test_gradients_reach_the_pixels(backbones):
    image = (torch.rand(1, 3, 48, 48) - 0.5).requires_grad_()
    backbones.clip.encode_image(image)[0, 0].backward()
    assert image.grad is not None and image.grad.abs().sum() > 0


def test_embedding_of_a_sentence_does_not_depend_on_its_neighbours(backbones):
    alone = backbones.clip.encode_text(["red hair"])
    beside = backbones.clip.encode_text(["red hair", "a man with a long beard"])[:1]
    assert torch.allclose(alone, beside, atol=1e-5)


def test_no_text_ends_early(backbones):
    letters = random.Random(0)
    alphabet = "abc XYZ!?'.,-0189éüßñ中文字😀🧔\u200d\u0301"
    texts = ["".join(letters.choices(alphabet, k=12)) for _ in range(500)]
    texts += ["a smiling face!", "xylophone zq", "<|endoftext|> red hair", "a <|startoftext|> b"]
    end = backbones.clip.config.end_token
    assert not any(end in ids for ids in backbones.clip.tokenizer.encode(texts))


def test_tokens_are_spelled_back(backbones):
    tokenizer = build_tokenizer([("r", "e"), ("re", "d</w>")], 24)
    (ids,) = tokenizer.encode(["red tree"])
    assert tokenizer.decode(ids) == "red tree"
    assert tokenizer.backend.id_to_token(ids[0]) == "red</w>"


def test_a_cut_sentence_is_reported_once(backbones, caplog):
    long = "a man with a very long beard and even longer hair"
    backbones.clip.encode_text([long])
    backbones.clip.encode_text([long])
    assert [r.message for r in caplog.records if "too long" in r.message][0:] != []
    assert len([r for r in caplog.records if "too long" in r.message]) == 1
    assert "a man with" in caplog.text


def test_saved_clip_embeds_the_same_after_loading(tmp_path):
    clip = make_clip().eval()
    clip.save(tmp_path, half=False)
    loaded = Clip.from_folder(tmp_path)
    image = torch.rand(1, 3, 32, 32) * 2 - 1
    assert loaded.config == clip.config
    loaded.save(tmp_path / "again", half=False)
    for path in (tmp_path / "again").iterdir():
        assert path.read_bytes() == (tmp_path / path.name).read_bytes()
    with torch.no_grad():
        assert torch.equal(loaded.encode_image(image), clip.encode_image(image))
        assert torch.equal(loaded.encode_text(["red hair"]), clip.encode_text(["red hair"]))


def test_a_clip_that_looks_at_the_face_does_so_after_loading(tmp_path):
    plain = make_clip()
    clip = Clip(dataclasses.replace(plain.config, pixels="foveal"), plain.tokenizer)
    clip.save(tmp_path)
    image = torch.rand(1, 3, 32, 32) * 2 - 1
    loaded = Clip.from_folder(tmp_path)
    assert torch.equal(loaded.pixels(image), clip.pixels(image))
    assert not torch.allclose(loaded.pixels(image), plain.pixels(image))
    config = (tmp_path / PREPROCESSOR).read_text(encoding="utf-8")
    (tmp_path / PREPROCESSOR).write_text(config.replace("foveal", "sideways"), encoding="utf-8")
    with pytest.raises(RepoError, match="sideways"):
        Clip.from_folder(tmp_path)


def test_saved_clip_can_be_read_by_transformers(tmp_path):
    from transformers import CLIPModel, CLIPTokenizer

    clip = make_clip().eval()
    clip.save(tmp_path, half=False)
    model, report = CLIPModel.from_pretrained(tmp_path, output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"]
    tokens = torch.tensor([CLIPTokenizer.from_pretrained(tmp_path)("red hair")["input_ids"]])
    assert torch.equal(tokens, clip.tokenize(["red hair"]))
    with torch.no_grad():
        theirs = model.get_text_features(tokens).pooler_output
        assert torch.allclose(
            torch.nn.functional.normalize(theirs), clip.encode_text(["red hair"]), atol=1e-6
        )
        pixels = torch.rand(2, 3, 32, 32)
        theirs = model.get_image_features(pixels).pooler_output
        assert torch.allclose(theirs, clip.model.image_features(pixels), atol=1e-6)


def test_plain_attention_is_the_fused_one():
    clip = make_clip().eval()
    image, words = torch.rand(2, 3, 32, 32) * 2 - 1, ["red hair", "a man with a beard"]
    fused = clip.encode_image(image), clip.encode_text(words)
    clip.model.fuse_attention(False)
    assert torch.allclose(fused[0], clip.encode_image(image), atol=1e-6)
    assert torch.allclose(fused[1], clip.encode_text(words), atol=1e-6)


def test_damaged_folder_is_refused_in_plain_words(tmp_path):
    make_clip().save(tmp_path, half=False)
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(RepoError, match="tokenizer"):
        Clip.from_folder(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "clip"}')
    with pytest.raises(RepoError, match="no CLIP"):
        Clip.from_folder(tmp_path)
