"""Writes a tiny random-weight Llama with a locally trained tokenizer and a chat template.

usage: mkmodel.py FOLDER

Nothing is downloaded. The weights are random, so the model's words mean nothing and many of its tokens are halves of
characters: a detokeniser that holds bytes back is the normal case, which is what the tests want.
"""

import os
import random
import sys

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

WORDS = (
    "the quick brown fox jumps over lazy dog hello world inference server token stream request prompt latency engine "
    "kernel probe user assistant system what is one two three four five why how when where capital of france paris "
    "tell me a story about"
).split()
SPECIAL = ["<unk>", "<s>", "</s>", "<pad>", "<|user|>", "<|assistant|>", "<|system|>"]
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def tokenizer():
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    corpus = [" ".join(random.choices(WORDS, k=20)) for _ in range(500)]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    bpe.train_from_iterator(
        corpus, trainers.BpeTrainer(vocab_size=1000, special_tokens=SPECIAL, initial_alphabet=alphabet)
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=bpe, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="<pad>"
    )
    fast.chat_template = CHAT_TEMPLATE
    return fast


def model(vocabulary):
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=max(1024, vocabulary),
            hidden_size=128,
            intermediate_size=256,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=32,
            max_position_embeddings=2048,
            bos_token_id=1,
            eos_token_id=2,
            pad_token_id=3,
            tie_word_embeddings=False,
        )
    ).to(torch.bfloat16)


def main():
    (folder,) = sys.argv[1:]
    random.seed(0)
    torch.manual_seed(0)
    fast = tokenizer()
    fast.save_pretrained(folder)
    model(len(fast)).save_pretrained(folder)


if __name__ == "__main__":
    main()
