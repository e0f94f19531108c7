"""Documents in files, lines and columns: the rows of a vectorizer, from any batch on."""

import json

import numpy as np
import pytest

from sklearn_sparse_eig import SketchedSparsePCA
from sklearn_sparse_eig.streams import fit_stream, iter_batches
from sklearn_sparse_eig.text import HashedTextVectorizer, TermRecorder

WORDS = ["sea", "ship", "sail", "snow", "ski", "ice", "café"]
RNG = np.random.default_rng(0)
TEXTS = [" ".join(RNG.choice(WORDS, 5)) for _ in range(23)]
ROWS = HashedTextVectorizer().transform(TEXTS)


def write_files(folder):
    for i, text in enumerate(TEXTS):
        (folder / f"{i:02d}.txt").write_text(text, encoding="utf-8")
    return folder, {}


def write_any_files(folder):
    for i, text in enumerate(TEXTS):
        (folder / f"_{i:02d}").write_text(text, encoding="utf-8")
    return folder, {"format": "text"}


def write_lines(folder):
    for i in range(2):
        lines = TEXTS[:10] if i == 0 else TEXTS[10:]
        (folder / f"{i}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder, {"lines": True}


def write_parquet(folder):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    for i, texts in enumerate((TEXTS[:10], TEXTS[10:])):
        table = pa.table({"n": range(len(texts)), "body": texts})
        pq.write_table(table, folder / f"{i}.parquet", row_group_size=4)
    return folder, {"text_column": "body"}


def write_csv(folder):
    pd = pytest.importorskip("pandas")
    for i, texts in enumerate((TEXTS[:10], TEXTS[10:])):
        pd.DataFrame({"n": 1, "body": texts}).to_csv(folder / f"{i}.csv.gz", index=False)
    return folder, {"text_column": "body"}


def write_json(folder):
    pytest.importorskip("pandas")
    lines = [json.dumps({"body": text, "n": 1}) for text in TEXTS]
    (folder / "all.jsonl").write_text("\n".join(lines))
    return str(folder / "*.jsonl"), {"text_column": "body"}


WRITERS = [write_files, write_any_files, write_lines, write_parquet, write_csv, write_json]


@pytest.fixture(params=WRITERS, ids=lambda write: write.__name__.removeprefix("write_"))
def source(request, tmp_path):
    folder = tmp_path / "documents"
    folder.mkdir()
    where, options = request.param(folder)
    if "text_column" in options:
        (folder / "README.md").write_text("no table")
    return where, options


@pytest.mark.parametrize("batch_size", [4, 100])
def test_documents_come_back(source, batch_size):
    where, options = source
    batches = iter_batches(where, batch_size, **options)
    read = list(batches)
    assert sum(rows.shape[0] for rows in read) == 23
    assert max(rows.shape[0] for rows in read) <= batch_size
    np.testing.assert_array_equal(np.concatenate([rows.indices for rows in read]), ROWS.indices)
    np.testing.assert_array_equal(np.concatenate([rows.data for rows in read]), ROWS.data)
    for start in range(len(read) + 1):
        rest = [rows.data.tobytes() for rows in batches.start_at(start)]
        assert rest == [rows.data.tobytes() for rows in read[start:]]
    assert set(batches.names_of(ROWS.indices).terms.values()) == set(WORDS)


def test_a_run_over_documents_is_resumed(source, tmp_path):
    where, options = source
    checkpoint = tmp_path / "checkpoint"

    def model():
        return SketchedSparsePCA(1, n_nonzero_coefs=3, memory_budget=4e6, random_state=0)

    def opened(**more):
        return iter_batches(where, 4, **options, **more)

    class Stopped(Exception):
        pass

    class UpToThree:
        fingerprint = opened().fingerprint

        def __iter__(self):
            for i, rows in enumerate(opened()):
                if i == 3:
                    raise Stopped
                yield rows

    with pytest.raises(Stopped):
        fit_stream(model(), UpToThree(), checkpoint=checkpoint, progress=False)
    other = opened(vectorizer=HashedTextVectorizer(ngram_range=(1, 2)))
    with pytest.raises(ValueError, match="another input"):
        fit_stream(model(), other, checkpoint=checkpoint, progress=False)
    # A recorder makes the same rows.
    recorded = opened(vectorizer=TermRecorder(HashedTextVectorizer()))
    pca = fit_stream(model(), recorded, checkpoint=checkpoint, progress=False)
    whole = fit_stream(model(), opened(), progress=False)
    assert pca.sketch_.to_bytes() == whole.sketch_.to_bytes()


def test_missing_texts_are_empty(tmp_path):
    pd = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    pd.DataFrame({"body": ["snow", None, "ice"]}).to_parquet(tmp_path / "a.parquet")
    pd.DataFrame({"body": ["snow", None, "ice"]}).to_csv(tmp_path / "a.csv")
    for name in ("a.parquet", "a.csv"):
        (rows,) = iter_batches(tmp_path / name, text_column="body")
        assert np.diff(rows.indptr).tolist() == [1, 0, 1]
        with pytest.raises(ValueError, match="has no column 'text'"):
            list(iter_batches(tmp_path / name, text_column="text"))


def test_other_encodings(tmp_path):
    (tmp_path / "a.txt").write_bytes("café".encode("latin-1"))
    with pytest.raises(ValueError, match=r"a.txt is no text in utf-8.*latin-1"):
        list(iter_batches(tmp_path))
    (rows,) = iter_batches(tmp_path, vectorizer=HashedTextVectorizer(encoding="latin-1"))
    assert rows.indices.tolist() == HashedTextVectorizer().transform(["café"]).indices.tolist()
    list(iter_batches(tmp_path, vectorizer=HashedTextVectorizer(decode_error="ignore")))


def test_notes_beside_data_are_no_documents(tmp_path):
    (tmp_path / "README.txt").write_text("about the data")
    np.save(tmp_path / "x.npy", np.eye(3))
    batches = iter_batches(tmp_path)
    assert batches.n_rows == 3 and batches.vectorizer is None
    with pytest.raises(TypeError, match="are no documents"):
        batches.names_of([1])
    with pytest.raises(ValueError, match="give no other columns"):
        iter_batches(tmp_path, format="text", columns=["a"])
