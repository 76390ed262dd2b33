"""Tiny models of every causal language model that transformers has, made by shrinking its config.

`write(folder, kind)` writes one with random weights and the tokenizer of `tiny_models`, in a second
or less. `KINDS` are the model types that can be made so small. Sizes are found by the names of
the config's fields, so that an architecture of tomorrow needs no line here, unless it is odd.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import torch
from transformers import CONFIG_MAPPING, AutoModelForCausalLM
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

import tiny_models

POSITIONS = 1024
VOCABULARY = 320
WINDOW = 16
HEADS, KV_HEADS, HEAD, HIDDEN, INNER, EXPERTS, CHOSEN, LAYERS = 4, 2, 8, 32, 64, 4, 2, 4
SIZES: tuple[tuple[int, tuple[str, ...]], ...] = (
    (VOCABULARY, ("vocab_size", "unpadded_vocab_size", "vocab_size_per_layer_input")),
    (
        HIDDEN,
        (
            *("hidden_size", "d_model", "n_embd", "dim_model", "emb_dim", "embedding_dim"),
            *("embedding_size", "input_embedding_size", "output_embedding_size", "lru_width"),
            *("attention_hidden_size", "word_embed_proj_dim", "hidden_dim", "dim"),
        ),
    ),
    (
        INNER,
        (
            *("intermediate_size", "moe_intermediate_size", "ffn_dim", "n_inner", "d_inner", "dff"),
            *("shared_expert_intermediate_size", "shared_intermediate_size", "ffn_hidden_size"),
            *("dim_ff", "feed_forward_size", "intermediate_size_mlp", "expert_ffn_hidden_size"),
            *("dense_intermediate_size", "shared_experts_intermediate_size", "encoder_ffn_dim"),
            *("decoder_ffn_dim", "moe_shared_expert_intermediate_size", "mamba_d_ssm"),
        ),
    ),
    (
        HEADS,
        (
            *("num_attention_heads", "n_head", "n_heads", "num_heads", "attention_heads"),
            *("encoder_attention_heads", "decoder_attention_heads", "num_encoder_attention_heads"),
            *("num_decoder_attention_heads", "linear_num_heads", "linear_num_value_heads"),
            *("swa_num_attention_heads", "index_n_heads"),
        ),
    ),
    (
        KV_HEADS,
        (
            *("num_key_value_heads", "num_kv_heads", "swa_num_key_value_heads"),
            *("linear_num_key_heads", "num_query_groups"),
        ),
    ),
    (
        HEAD,
        (
            *("head_dim", "kv_channels", "v_head_dim", "qk_nope_head_dim", "qk_rope_head_dim"),
            *(
                "dim_head",
                "swa_head_dim",
                "linear_head_dim",
                "linear_key_head_dim",
                "d_kv",
                "d_head",
            ),
            *("linear_value_head_dim", "global_head_dim", "index_head_dim", "rotary_dim"),
            *("attention_head_size", "hidden_size_per_layer_input", "laurel_rank"),
        ),
    ),
    (
        LAYERS,
        (
            *("num_hidden_layers", "n_layer", "n_layers", "num_layers", "decoder_layers"),
            *("encoder_layers", "num_encoder_layers", "num_decoder_layers", "num_blocks"),
            *("max_window_layers",),
        ),
    ),
    (
        EXPERTS,
        (
            *("num_experts", "n_routed_experts", "num_local_experts", "moe_num_experts"),
            *("zero_expert_num",),
        ),
    ),
    (
        CHOSEN,
        (
            *("num_experts_per_tok", "num_experts_per_token", "moe_topk", "moe_k", "top_k_experts"),
            *("attn_layer_period", "expert_layer_period", "block_top_k"),
        ),
    ),
    (
        1,
        (
            *("n_group", "topk_group", "num_expert_group", "n_shared_experts", "attn_layer_offset"),
            *(
                "first_k_dense_replace",
                "expert_layer_offset",
                "num_shared_experts",
                "mamba_n_groups",
            ),
            *("n_groups", "num_kv_shared_layers", "n_limited_groups", "mamba_ngroups"),
        ),
    ),
    (0, ("num_nextn_predict_layers", "num_mtp_layers")),
    (
        POSITIONS,
        (
            *("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "context_length"),
            *("model_max_length", "max_target_positions"),
        ),
    ),
    (
        WINDOW,
        (
            *("sliding_window", "sliding_window_size", "attention_window_size", "window_size"),
            *(
                "attention_chunk_size",
                "local_attention",
                "kv_lora_rank",
                "q_lora_rank",
                "state_size",
            ),
            *(
                "mamba_d_state",
                "ssm_state_size",
                "chunk_size",
                "mamba_chunk_size",
                "time_step_rank",
            ),
            *("mamba_dt_rank", "mamba_d_head", "mamba_head_dim", "index_topk", "o_lora_rank"),
        ),
    ),
)
KNOWN = {name: size for size, names in SIZES for name in names}
ODD: dict[str, dict[str, Any]] = {
    "bamba": {"mamba_n_heads": 4},
    "falcon_h1": {"mamba_n_heads": 4},
    "granitemoehybrid": {"mamba_n_heads": 4, "layer_types": ["mamba", "full_attention"] * 2},
    "mamba2": {"num_heads": 4, "head_dim": 16},
    "deepseek_v2": {"num_experts_per_tok": CHOSEN, "topk_method": "greedy"},
    "dots1": {"n_routed_experts": EXPERTS, "num_experts_per_tok": CHOSEN},
    "gemma3n_text": {"intermediate_size": INNER, "num_kv_shared_layers": 0},
    "gpt_neo": {"attention_types": [[["global", "local"], 2]]},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"] * 2},
    "zamba": {"attention_hidden_size": 2 * HIDDEN, "attention_head_dim": 16},
}
"""What a model type needs besides."""
MISSING = {"head_dim": HEAD, "num_key_value_heads": KV_HEADS}
"""What some configs leave to nobody."""
BEYOND = frozenset(
    [
        *("bart", "bigbird_pegasus", "blenderbot", "blenderbot-small", "blt", "dbrx", "emu3"),
        "cohere_compass_text",
        "gemma4_text",
        *("dots3_note", "dots3_note_text", "gemma3", "gemma3n", "gemma4", "gemma4_assistant"),
        *("gemma4_unified", "gemma4_unified_assistant", "gemma4_unified_text", "git", "got_ocr2"),
        *("marian", "mbart", "mllama", "moss_transcribe_diarize", "musicgen", "musicgen_melody"),
        *("mvp", "pegasus", "phi4_multimodal", "plbart", "prophetnet", "qwen4_exp", "reformer"),
        *("qwen4_exp_text", "roc_bert", "whisper", "xmod"),
    ]
)
"""Parts of models for pictures, speech or translation, and configs whose names do not tell sizes."""
FIXED = {
    "initializer_range": 0.25,
    "bos_token_id": tiny_models.BOS,
    "eos_token_id": tiny_models.EOS,
    "pad_token_id": tiny_models.EOS,
    "is_decoder": True,
    "tie_word_embeddings": False,
}
PER_LAYER = (
    *("layer_types", "mlp_layer_types", "layers_block_type", "indexer_types", "no_rope_layers"),
    *("layer_rope_theta", "moe_layers", "full_attn_idxs", "attention_layers"),
)
"""Lists with an entry for each layer: left to the config, or else cut to the layers left."""
KINDS = tuple(kind for kind in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES if kind not in BEYOND)


def config(kind: str, **changes: Any) -> Any:
    """The shrunken config of a model type; `changes` replace what was shrunk.

    Raises what transformers raises for sizes that do not fit together.
    """
    made = CONFIG_MAPPING[kind]
    usual = made()
    inner = usual.get_text_config(decoder=True)
    fields = {**_shrunken(type(inner), inner), **ODD.get(kind, {}), **changes}
    if inner is usual:
        return made(**fields)
    name = next(key for key, value in vars(usual).items() if value is inner)
    return made(**{name: type(inner)(**fields).to_dict()})


def write(folder: Path, kind: str, seed: int = 7, **changes: Any) -> Path:
    """Write a model directory as `save_pretrained` does."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config(kind, **changes))
    model.generation_config.do_sample = False
    model.save_pretrained(folder)
    tiny_models.tokenizer().save(str(folder / "tokenizer.json"))
    names = {"bos_token": tiny_models.SPECIAL[0], "eos_token": tiny_models.SPECIAL[1]}
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": POSITIONS}
    (folder / "tokenizer_config.json").write_text(json.dumps({**settings, **names}))
    return folder


def _shrunken(made: type, usual: Any) -> dict[str, Any]:
    """What to say instead of the usual fields of a config, by its own names of them."""
    named = {field.name for field in dataclasses.fields(made)}
    fields = {name: value for name, value in FIXED.items() if name in named}
    for name in named & KNOWN.keys():
        now = getattr(usual, name, None)
        if isinstance(now, int) and not isinstance(now, bool) and now > KNOWN[name]:
            fields[name] = KNOWN[name]
    fields |= {name: size for name, size in MISSING.items() if _absent(usual, named, name)}
    if "kv_lora_rank" in named:
        fields["num_key_value_heads"] = HEADS
    for name in named & set(PER_LAYER):
        now = getattr(usual, name, None)
        if isinstance(now, (list, tuple)):
            fields[name] = _spread(list(now))
    return fields


def _absent(usual: Any, named: set[str], name: str) -> bool:
    return name in named and getattr(usual, name, None) is None


def _spread(kinds: list[Any]) -> list[Any]:
    """An entry for each of `LAYERS` layers, in which every kind has its turn."""
    found = list(dict.fromkeys(kinds)) if all(isinstance(kind, str) for kind in kinds) else kinds
    return [found[at % len(found)] for at in range(LAYERS)]
