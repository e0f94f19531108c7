"""What feeds a torch module: DataLoaders, Datasets, dicts and tuples; none changes a score."""

import warnings
from collections import OrderedDict

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.linear_model import LogisticRegression

from sklearn_sparse_eig import GradientFeatures, GradPCADetector, gradients
from sklearn_sparse_eig.gradients import make_network

torch = pytest.importorskip("torch")
nn = torch.nn
data = torch.utils.data

RNG = np.random.default_rng(0)
X = RNG.normal(size=(90, 8)).astype(np.float32)
IDS = RNG.integers(0, 20, size=(90, 6))
MASK = (np.arange(6) < RNG.integers(2, 7, size=90)[:, None]).astype(np.int64)


class Plain(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.body, self.head = nn.Linear(8, 6), nn.Linear(6, 3)

    def forward(self, x):
        return self.head(torch.tanh(self.body(x)))


class Text(nn.Module):
    """Takes ids and a mask by name, as encoders of text do; ``record`` is how it returns logits."""

    def __init__(self, record=False):
        super().__init__()
        torch.manual_seed(0)
        self.words, self.mix = nn.Embedding(20, 8), nn.MultiheadAttention(8, 2, batch_first=True)
        self.head, self.record = nn.Linear(8, 3), record

    def forward(self, input_ids, attention_mask=None):
        assert not input_ids.is_floating_point() and not attention_mask.is_floating_point()
        x = self.words(input_ids)
        x = x + self.mix(x, x, x, key_padding_mask=attention_mask == 0, need_weights=False)[0]
        weights = attention_mask[:, :, None] / attention_mask.sum(dim=1)[:, None, None]
        logits = self.head((x * weights).sum(dim=1))
        return OrderedDict(hidden=x, logits=logits) if self.record else logits


class Joined(nn.Module):
    """The same with ids and mask side by side in one array."""

    def __init__(self):
        super().__init__()
        self.inner = Text()

    def forward(self, x):
        return self.inner(x[:, :6].long(), x[:, 6:].long())


PLAIN, TEXT = Plain().eval(), Text().eval()
Y = make_network(PLAIN).gradients(X).logits.argmax(axis=1)
COLUMNS = {"input_ids": IDS, "attention_mask": MASK}
WORDS = make_network(TEXT).gradients(COLUMNS).logits.argmax(axis=1)


class Records(data.Dataset):
    """Dicts with labels."""

    def __init__(self, labels="labels", n=90):
        self.labels, self.n = labels, n

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        if i >= self.n:
            raise IndexError(i)
        row = {"input_ids": IDS[i], "attention_mask": MASK[i]}
        return row | ({self.labels: WORDS[i]} if self.labels else {})


class Stream(data.IterableDataset):
    """Rows one after the other, of unknown number."""

    def __init__(self, once=False):
        self.rows = iter(zip(X, Y, strict=True)) if once else None

    def __iter__(self):
        return iter(zip(X, Y, strict=True)) if self.rows is None else self.rows


def plain(*arrays):
    return data.TensorDataset(*(torch.as_tensor(a) for a in arrays))


EXPECTED = GradPCADetector(PLAIN).fit(X, Y)
EXPECTED_TEXT = GradPCADetector(TEXT).fit(COLUMNS, WORDS)


# Each gives X, with Y as the labels or none.
LOADERS = {
    "dataset": lambda: plain(X, Y),
    "loader": lambda: data.DataLoader(plain(X, Y), batch_size=25),
    "drop_last": lambda: data.DataLoader(plain(X, Y), batch_size=30, drop_last=True),
    "batches": lambda: data.DataLoader(
        plain(X, Y), batch_sampler=[range(i, i + 10) for i in range(0, 90, 10)]
    ),
    "iterable": lambda: data.DataLoader(Stream(), batch_size=20),
    "stream": lambda: Stream(),
    "double": lambda: data.DataLoader(plain(X.astype(float), Y), batch_size=25),
    "column": lambda: data.DataLoader(plain(X, Y[:, None]), batch_size=25),
    "requires_grad": lambda: data.DataLoader(
        data.TensorDataset(torch.as_tensor(X.copy()).requires_grad_(), torch.as_tensor(Y)), 25
    ),
}


@pytest.mark.parametrize("name", LOADERS)
def test_loaders_score_like_arrays(name):
    given = LOADERS[name]()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", "The threshold is a quantile of the training")
        detector = GradPCADetector(PLAIN).fit(given)
        found = detector.score_samples(given)
        np.testing.assert_array_equal(
            detector.predict(given), np.where(found < detector.offset_, -1, 1)
        )
        np.testing.assert_allclose(
            detector.transform(given), detector.transform(X), rtol=1e-3, atol=1e-3
        )
    np.testing.assert_allclose(found, EXPECTED.score_samples(X), rtol=1e-4)
    with pytest.warns(UserWarning, match="100% of these samples"):
        detector.calibrate(given)
    detector.partial_fit(given)
    np.testing.assert_array_equal(detector.class_counts_, 2 * EXPECTED.class_counts_)


TEXTS = {
    "dict": lambda: COLUMNS,
    "tensors": lambda: {name: torch.as_tensor(a) for name, a in COLUMNS.items()},
    "dataset": lambda: Records(),
    "loader": lambda: data.DataLoader(Records("label"), batch_size=25),
    "pairs": lambda: data.DataLoader(
        [({"input_ids": IDS[i], "attention_mask": MASK[i]}, WORDS[i]) for i in range(90)], 25
    ),
    "by position": lambda: data.DataLoader(plain(IDS, MASK, WORDS), batch_size=25),
}


@pytest.mark.parametrize("name", TEXTS)
def test_several_arrays_score_like_one(name):
    given = TEXTS[name]()
    y = WORDS if isinstance(given, dict) else None
    detector = GradPCADetector(TEXT).fit(given, y)
    found = detector.score_samples(given)
    joined = GradPCADetector(Joined().eval()).fit(np.hstack([IDS, MASK]), WORDS)
    np.testing.assert_allclose(found, joined.score_samples(np.hstack([IDS, MASK])), rtol=1e-3)
    np.testing.assert_array_equal(detector.class_counts_, joined.class_counts_)
    assert not hasattr(detector, "n_features_in_")
    features = GradientFeatures(TEXT).fit(given)
    np.testing.assert_allclose(
        features.transform(given), GradientFeatures(TEXT).fit_transform(COLUMNS), atol=1e-5
    )


@pytest.mark.parametrize("engine", ["vmap", "loop"])
@pytest.mark.filterwarnings("ignore:There is a performance drop")
def test_engines_take_several_arrays(engine):
    expected = make_network(TEXT).gradients(COLUMNS).dense()
    found = gradients.TorchNetwork(TEXT, engine=engine).gradients(COLUMNS).dense()
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


def test_records_with_logits():
    network = make_network(Text(record=True).eval())
    expected = make_network(TEXT).gradients(COLUMNS)
    np.testing.assert_array_equal(network.gradients(COLUMNS).dense(), expected.dense())
    np.testing.assert_array_equal(network.features(COLUMNS), make_network(TEXT).features(COLUMNS))
    detector = GradPCADetector(Text(record=True).eval()).fit(COLUMNS, WORDS)
    np.testing.assert_array_equal(
        detector.score_samples(COLUMNS), EXPECTED_TEXT.score_samples(COLUMNS)
    )


def test_gradients_of_a_stream_come_with_their_rows():
    from sklearn_sparse_eig.gradients._loaders import LoaderRows

    loader = LoaderRows(data.DataLoader(plain(X, Y), batch_size=25))
    for given, labels in ((X, None), (loader, Y)):
        network, stop = make_network(PLAIN), 0
        for start, found in network.stream(given, batch_size=20):
            assert start == stop
            stop = start + len(found.values)
            np.testing.assert_array_equal(found.rows, X[start:stop])
            if labels is not None:
                np.testing.assert_array_equal(found.labels, labels[start:stop])
        assert stop == 90


def test_without_labels_classes_are_those_predicted():
    unlabelled = data.DataLoader(plain(X), batch_size=25)
    for given in (unlabelled, data.DataLoader(torch.as_tensor(X), batch_size=25)):
        detector = GradPCADetector(PLAIN).fit(given)
        np.testing.assert_array_equal(detector.class_counts_, np.bincount(Y))
        np.testing.assert_array_equal(
            GradPCADetector(PLAIN).fit(given, 2 - Y).class_counts_, np.bincount(2 - Y)
        )
    wrong = data.DataLoader(plain(X, (Y + 1) % 3), batch_size=25)
    with pytest.warns(UserWarning, match="predicts the given label for 0%"):
        GradPCADetector(PLAIN).fit(wrong)
    detector = GradPCADetector(PLAIN, labels="predicted").fit(wrong)
    np.testing.assert_array_equal(detector.class_counts_, np.bincount(Y))
    single = np.where(np.arange(90) == 0, 2, Y % 2)
    with pytest.raises(ValueError, match="at least two samples"):
        GradPCADetector(PLAIN).fit(plain(X, single))


def test_shuffled_rows_are_fitted_and_told_where_order_counts():
    shuffled = data.DataLoader(plain(X, Y), batch_size=25, shuffle=True)
    detector = GradPCADetector(PLAIN).fit(shuffled)
    np.testing.assert_allclose(detector.score_samples(X), EXPECTED.score_samples(X), rtol=1e-4)
    with pytest.warns(UserWarning, match="shuffle=False") as told:
        found = detector.score_samples(shuffled)
    assert len(told) == 1 and told[0].filename == __file__
    np.testing.assert_allclose(np.sort(found), np.sort(detector.score_samples(X)), rtol=1e-5)
    with pytest.raises(ValueError, match="y cannot be matched"):
        GradPCADetector(PLAIN).fit(shuffled, Y)


def test_only_some_rows_fix_metric_and_threshold(monkeypatch):
    from sklearn_sparse_eig.ood import _subsamples

    monkeypatch.setattr(_subsamples, "_LEAST_ROWS", 50)
    monkeypatch.setattr(_subsamples, "_ROWS_PER_SIZE", 0)
    monkeypatch.setattr(_subsamples, "_REJECTED", 2)
    options = {"subspace": "low_rank", "random_state": 0, "labels": "predicted"}
    found, expected = (
        GradPCADetector(PLAIN, **options).fit(given)
        for given in (data.DataLoader(plain(X, Y), batch_size=25), X)
    )
    assert found.n_metric_samples_ == expected.n_metric_samples_ == 50
    np.testing.assert_allclose(found.score_samples(X), expected.score_samples(X), rtol=1e-3)
    assert found.offset_ == pytest.approx(expected.offset_, rel=1e-3)


class Images(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.norm = nn.Conv2d(3, 6, 3, stride=2), nn.BatchNorm2d(6)
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        return self.head(torch.relu(self.norm(self.first(x))).mean(dim=(2, 3)))


def test_channels_last_and_devices():
    images = torch.as_tensor(RNG.normal(size=(40, 3, 9, 9)).astype(np.float32))
    module, last = Images().eval(), Images().eval().to(memory_format=torch.channels_last)
    y = np.arange(40) % 3
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # labels are none of the model's
        expected = GradPCADetector(module).fit(images, y).score_samples(images)
        for given in (images, images.contiguous(memory_format=torch.channels_last)):
            for model in (module, last):
                loader = data.DataLoader(data.TensorDataset(given, torch.as_tensor(y)), 40)
                for rows, labels in ((given, y), (loader, None)):
                    detector = GradPCADetector(model, device="cpu").fit(rows, labels)
                    np.testing.assert_allclose(
                        detector.score_samples(rows), expected, rtol=1e-3, atol=1e-6
                    )


@pytest.mark.parametrize("size", [1, 3])
def test_small_batches_are_put_together(size):
    sizes = []

    class Watched(Plain):
        def forward(self, x):
            sizes.append(len(x))
            return super().forward(x)

    module = Watched().eval()
    loader = data.DataLoader(plain(X, Y), batch_size=size)
    detector = GradPCADetector(module).fit(loader)
    sizes.clear()
    np.testing.assert_allclose(detector.score_samples(loader), EXPECTED.score_samples(X), rtol=1e-4)
    assert max(sizes) >= 16 and len(sizes) < 20
    texts = GradPCADetector(TEXT).fit(data.DataLoader(Records(), batch_size=size))
    np.testing.assert_allclose(
        texts.score_samples(COLUMNS), EXPECTED_TEXT.score_samples(COLUMNS), rtol=1e-4
    )


def test_batches_of_texts_differ_in_length():
    lengths = MASK.sum(axis=1)
    order = np.argsort(lengths, kind="stable")
    batches = [
        {
            "input_ids": torch.as_tensor(IDS[rows, : lengths[rows].max()]),
            "attention_mask": torch.as_tensor(MASK[rows, : lengths[rows].max()]),
            "labels": torch.as_tensor(WORDS[rows]),
        }
        for rows in np.array_split(order, 12)
    ]
    loader = data.DataLoader(batches, batch_size=None)
    detector = GradPCADetector(TEXT).fit(loader)
    np.testing.assert_allclose(
        detector.score_samples(loader), EXPECTED_TEXT.score_samples(COLUMNS)[order], rtol=1e-3
    )


def test_memory_that_has_not_sufficed_is_not_tried_again(monkeypatch):
    calls = []

    class Hungry(gradients.TorchNetwork):
        def gradients(self, X, output="max", layers=None):
            calls.append(len(X))
            if len(X) > 8:
                raise RuntimeError("out of memory")
            return super().gradients(X, output, layers)

    network, loader = Hungry(PLAIN), data.DataLoader(plain(X), batch_size=30)
    from sklearn_sparse_eig.gradients._loaders import LoaderRows

    with pytest.warns(UserWarning, match="Out of memory"):
        found = [g.values for _, g in network.stream(LoaderRows(loader), batch_size=30)]
    assert len(np.concatenate(found)) == 90 and sum(n > 8 for n in calls) == 2


# ------------------------------------------------------------------------------------- mistakes


def test_mistakes_are_told():
    detector = GradPCADetector(TEXT).fit(COLUMNS, WORDS)
    with pytest.raises(ValueError, match="X has 'input_ids', but 'input_ids', 'attention_mask'"):
        detector.score_samples({"input_ids": IDS})
    with pytest.raises(ValueError, match="X has one array, but 'input_ids'"):
        detector.score_samples(IDS)
    with pytest.raises(ValueError, match="X has 'input_ids', 'attention_mask', but 'one array'"):
        EXPECTED.score_samples(COLUMNS)
    with pytest.raises(TypeError, match="Text.forward does not take .*'rows': .*Leave out"):
        GradPCADetector(TEXT).fit({**COLUMNS, "rows": IDS}, WORDS)
    with pytest.raises(TypeError, match=r"X\['text'\] must hold a number.*collate_fn"):
        GradPCADetector(TEXT).fit({**COLUMNS, "text": ["a"] * 90}, WORDS)
    with pytest.raises(ValueError, match="same number of rows"):
        GradPCADetector(TEXT).fit({"input_ids": IDS, "attention_mask": MASK[:5]}, WORDS)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        GradPCADetector(TEXT).fit(COLUMNS, WORDS[:5])
    with pytest.raises(ValueError, match="labels that the classifier does not know"):
        GradPCADetector(PLAIN).fit(plain(X, Y + 1))
    with pytest.raises(ValueError, match=r"labels of shape \(64, 6\).*tuple of one entry"):
        GradPCADetector(PLAIN).fit(plain(X, IDS))
    with pytest.raises(ValueError, match="NaN"):
        GradPCADetector(PLAIN).fit(plain(np.where(np.arange(90)[:, None] == 80, np.nan, X), Y))
    with pytest.raises(ValueError, match="0 sample"):
        GradPCADetector(PLAIN).fit(plain(X[:0], Y[:0]))
    with pytest.raises(ValueError, match="X has 5 features"):
        EXPECTED.score_samples(plain(X[:, :5]))
    with pytest.raises(ValueError, match=r"gave 0 rows in a pass, where \d+ were expected"):
        GradPCADetector(PLAIN).fit(Stream(once=True))
    linear = LogisticRegression().fit(X, Y)
    for given, words in ((plain(X, Y), "got TensorDataset. DataLoaders"), (COLUMNS, "got a dict")):
        with pytest.raises(TypeError, match=words):
            GradPCADetector(linear).fit(given, Y)


def test_a_failed_fit_on_batches_changes_nothing():
    detector = GradPCADetector(PLAIN).fit(X, Y)
    before = dict(vars(detector))
    with pytest.raises(ValueError, match="does not know"):
        detector.fit(plain(X, np.where(np.arange(90) == 89, 7, Y)))
    assert vars(detector) == before
    refitted = GradPCADetector(TEXT).fit(COLUMNS, WORDS).set_params(estimator=PLAIN).fit(X, Y)
    assert refitted.n_features_in_ == 8
    refitted.set_params(estimator=TEXT).fit(COLUMNS, WORDS)
    assert not hasattr(refitted, "n_features_in_")


def test_detectors_of_other_arrays_do_not_merge():
    one, other = (GradPCADetector(TEXT).partial_fit(COLUMNS, WORDS) for _ in range(2))
    assert one.merge(other).n_samples_seen_ == 180
    swapped = GradPCADetector(TEXT)
    swapped.partial_fit(data.DataLoader(plain(IDS, MASK, WORDS), batch_size=25))
    with pytest.raises(ValueError, match="arrays of X"):
        one.merge(swapped)


class Wrapped(BaseEstimator):
    """A classifier of another library around a module."""

    def __init__(self):
        self.module_ = PLAIN

    def fit(self, X, y):
        return self


def test_wrappers_of_modules_say_where_these_are():
    with pytest.raises(TypeError, match=r"Its own model is module_: give module_\.eval\(\)"):
        make_network(Wrapped())
