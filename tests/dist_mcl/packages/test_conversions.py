"""Tiny models in the forms of the packaged ones, converted and loaded."""

from __future__ import annotations

import struct
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    WhisperConfig,
)
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from dist_mcl.backbones.causal_tiny import byte_tokenizer
from dist_mcl.errors import UserError
from dist_mcl.packages.conversions import CTRANSLATE2, GGUF, ctranslate2_to_whisper_encoder, gguf_to_safetensors

CHAT = "{% for message in messages %}<user>{{ message['content'] }}{% endfor %}"
LLAMA = LlamaConfig(
    vocab_size=258,
    hidden_size=64,
    intermediate_size=96,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    initializer_range=0.2,
    max_position_embeddings=64,
    tie_word_embeddings=True,
)


def write_gguf(path: Path, model: LlamaForCausalLM) -> None:
    """The model in llama.cpp's format, 32 bits a weight; rows of queries and keys in the order that it has there."""
    writer = gguf.GGUFWriter(path, "llama")
    config = model.config
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(config.vocab_size)
    vocabulary = byte_tokenizer().get_vocab()
    tokens = sorted(vocabulary, key=vocabulary.__getitem__)
    tokens.append(tokens[0] + tokens[1])
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types([1] * 256 + [3, 1])
    writer.add_token_merges([f"{tokens[0]} {tokens[1]}"])
    writer.add_eos_token_id(256)
    writer.add_bos_token_id(256)
    writer.add_chat_template(CHAT)
    heads = {"self_attn.q_proj": config.num_attention_heads, "self_attn.k_proj": config.num_key_value_heads}
    for name, value in model.state_dict().items():
        if name == "lm_head.weight":
            continue
        array = value.numpy()
        for part, count in heads.items():
            if part in name:
                array = array.reshape(count, 2, -1, array.shape[1]).swapaxes(1, 2).reshape(array.shape)
        writer.add_tensor(gguf_name(name), np.ascontiguousarray(array))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def gguf_name(name: str) -> str:
    names = {
        "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output",
        "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
        "post_attention_layernorm": "ffn_norm",
        "input_layernorm": "attn_norm",
        "model.embed_tokens": "token_embd",
        "model.norm": "output_norm",
        "model.layers": "blk",
    }
    for ours, theirs in names.items():
        name = name.replace(ours, theirs)
    return name


def test_a_gguf_becomes_a_language_model_that_says_the_same(tmp_path: Path) -> None:
    torch.manual_seed(0)
    original = LlamaForCausalLM(LLAMA).eval()
    write_gguf(tmp_path / GGUF, original)
    gguf_to_safetensors(tmp_path)
    assert not (tmp_path / GGUF).exists()
    model = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert model.config.tie_word_embeddings and not hasattr(model.config, "quantization_config")
    ids = torch.tensor([tokenizer("What is it?").input_ids])
    with torch.no_grad():
        torch.testing.assert_close(model(ids).logits, original(ids).logits, atol=0.15, rtol=0.05)  # bf16
    turn = [{"role": "user", "content": "hello"}]
    assert tokenizer.apply_chat_template(turn, tokenize=False) == "<user>hello"
    assert tokenizer.eos_token_id == 256


WHISPER = WhisperConfig(
    d_model=64,
    encoder_layers=2,
    encoder_attention_heads=1,
    encoder_ffn_dim=96,
    num_mel_bins=8,
    max_source_positions=10,
)


def write_ctranslate2(path: Path, variables: dict[str, np.ndarray], specification: bytes = b"WhisperSpec\0") -> None:
    """Variables in CTranslate2's format, 16 bits a weight."""
    data = struct.pack("<IH", 6, len(specification)) + specification + struct.pack("<II", 3, len(variables))
    for name, value in variables.items():
        coded = name.encode() + b"\0"
        body = value.astype(np.float16).tobytes()
        sides = struct.pack(f"<B{value.ndim}I", value.ndim, *value.shape)
        data += struct.pack("<H", len(coded)) + coded + sides + struct.pack("<BI", 4, len(body)) + body
    path.write_bytes(data + struct.pack("<I", 0))


def whisper_variables(encoder: WhisperEncoder) -> dict[str, np.ndarray]:
    """The encoder as CTranslate2's converter names and joins its weights, beside a decoder's."""
    state = {name: value.numpy() for name, value in encoder.state_dict().items()}
    found = {"encoder/position_encodings/encodings": state["embed_positions.weight"], "decoder/x/weight": np.zeros(3)}
    norms = {"layer_norm": "encoder/layer_norm"}
    for part in ("conv1", "conv2"):
        found |= {f"encoder/{part}/{kind}": state[f"{part}.{kind}"] for kind in ("weight", "bias")}
    for layer in range(WHISPER.encoder_layers):
        there, here = f"layers.{layer}", f"encoder/layer_{layer}"
        norms |= {
            f"{there}.self_attn_layer_norm": f"{here}/self_attention/layer_norm",
            f"{there}.final_layer_norm": f"{here}/ffn/layer_norm",
        }
        state[f"{there}.self_attn.k_proj.bias"] = np.zeros(WHISPER.d_model, np.float32)
        for kind in ("weight", "bias"):
            joined = [state[f"{there}.self_attn.{name}_proj.{kind}"] for name in "qkv"]
            found[f"{here}/self_attention/linear_0/{kind}"] = np.concatenate(joined)
            found[f"{here}/self_attention/linear_1/{kind}"] = state[f"{there}.self_attn.out_proj.{kind}"]
            found[f"{here}/ffn/linear_0/{kind}"] = state[f"{there}.fc1.{kind}"]
            found[f"{here}/ffn/linear_1/{kind}"] = state[f"{there}.fc2.{kind}"]
    for name, place in norms.items():
        found |= {f"{place}/gamma": state[f"{name}.weight"], f"{place}/beta": state[f"{name}.bias"]}
    return found


def test_ctranslate2_becomes_an_encoder_that_hears_the_same(tmp_path: Path) -> None:
    torch.manual_seed(0)
    original = WhisperEncoder(WHISPER).eval()
    write_ctranslate2(tmp_path / CTRANSLATE2, whisper_variables(original))
    ctranslate2_to_whisper_encoder(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "model.safetensors"]
    encoder = WhisperEncoder.from_pretrained(tmp_path).eval()
    sound = torch.randn(2, 8, 20)
    with torch.no_grad():
        found, expected = (model(sound).last_hidden_state for model in (encoder, original))
    torch.testing.assert_close(found, expected, atol=5e-3, rtol=5e-3)  # of weights in half precision


@pytest.mark.parametrize("damage", ["cut", "other", "empty"])
def test_other_files_are_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / CTRANSLATE2
    variables = whisper_variables(WhisperEncoder(WHISPER))
    write_ctranslate2(path, variables, b"TransformerSpec\0" if damage == "other" else b"WhisperSpec\0")
    path.write_bytes({"cut": path.read_bytes()[:-900], "other": path.read_bytes(), "empty": b""}[damage])
    with pytest.raises(UserError, match="not CTranslate2's Whisper"):
        ctranslate2_to_whisper_encoder(tmp_path)
