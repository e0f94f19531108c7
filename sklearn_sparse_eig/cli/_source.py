"""Arguments that say which rows are read, and the names that go with them."""

import argparse
from pathlib import Path
from typing import Any

from sklearn.base import clone

from ..streams import iter_batches
from ..text import HashedTextVectorizer, TermRecorder
from ._log_counts import LogCounts


def add_source(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of a source of rows."""
    parser.add_argument("source", nargs="+", help="files, a folder, or a pattern in quotes")
    rows = parser.add_argument_group("rows")
    rows.add_argument("--format", help="format of the files, if their suffix does not tell")
    rows.add_argument(
        "--columns",
        help="columns to read, as a,b,c; for sparse rows in Parquet ids=values, or ids=",
    )
    rows.add_argument("--drop", help="columns to leave out of all, as a,b,c (Parquet, CSV)")
    rows.add_argument("--batch-size", type=int, default=8192, metavar="N", help="rows at a time")
    rows.add_argument("--layer", help="layer of an AnnData, in place of X")
    rows.add_argument("--dataset", help="path of a matrix within HDF5 or Zarr")
    rows.add_argument("--sep", help="separator of CSV")
    rows.add_argument(
        "--n-features",
        type=int,
        metavar="N",
        help="columns of svmlight, or of ids in Parquet; ids of hashed terms (default: 2**62)",
    )
    rows.add_argument(
        "--zero-based", action="store_true", default=None, help="indices of svmlight begin at 0"
    )
    rows.add_argument(
        "--log-counts",
        action="store_true",
        help="rows are counts: take log(1 + 10000 count / total of its row), as Scanpy does",
    )
    text = parser.add_argument_group("text (each .txt file is a document)")
    text.add_argument(
        "--text", action="store_true", help="files of any other suffix are documents, too"
    )
    text.add_argument(
        "--lines", action="store_true", default=None, help="each line of the files is a document"
    )
    text.add_argument(
        "--text-column", metavar="NAME", help="column of documents in Parquet, CSV or JSON Lines"
    )
    text.add_argument("--encoding", help="of the files (default: utf-8)")


def add_analysis(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say how documents become terms."""
    terms = parser.add_argument_group("terms of text")
    terms.add_argument(
        "--stop-words", metavar="WORDS", help="'english', or a file with one word on each line"
    )
    terms.add_argument(
        "--ngrams", type=int, default=1, metavar="N", help="terms of up to N words (default: 1)"
    )
    terms.add_argument(
        "--sublinear", action="store_true", help="a term that occurs c times counts 1 + log(c)"
    )
    terms.add_argument(
        "--max-terms",
        type=int,
        default=65536,
        metavar="N",
        help="terms kept with the model, so that merged models have names (default: 65536)",
    )


def open_source(options: argparse.Namespace, vectorizer: Any = None) -> Any:
    """Return the batches that the arguments stand for; documents as the vectoriser makes them."""
    names = ("layer", "dataset", "sep", "n_features", "zero_based")
    wanted = {name: getattr(options, name) for name in names}
    given = {name: value for name, value in wanted.items() if value is not None}
    text = {"lines": options.lines, "text_column": options.text_column}
    text = {name: value for name, value in text.items() if value is not None}
    source = options.source if len(options.source) > 1 else options.source[0]
    settings: dict[str, Any] = {"columns": _columns(options.columns)}
    if options.drop is not None:
        given["drop"] = options.drop.split(",")
    settings["format"] = "text" if options.text or text else options.format
    n_features = given.pop("n_features", None) if settings["format"] == "text" else None
    batches = iter_batches(source, options.batch_size, **settings, **given, **text)
    if batches.vectorizer is None:
        return LogCounts(batches) if options.log_counts else batches
    if options.log_counts:
        raise ValueError(
            "--log-counts is for tables of counts, got text, whose terms are counted when it is "
            "read. Leave it out; --sublinear takes logarithms of the counts."
        )
    if vectorizer is None:
        vectorizer = make_recorder(options, n_features or 2**62)
    elif options.encoding is not None:  # of these files: their terms are the same
        vectorizer = clone(vectorizer).set_params(encoding=options.encoding)
    return iter_batches(source, options.batch_size, **settings, **text, vectorizer=vectorizer)


def make_recorder(options: argparse.Namespace, n_features: int) -> TermRecorder:
    """Return what makes rows of documents and records their terms."""
    words = getattr(options, "stop_words", None)
    if words not in (None, "english"):
        words = Path(words).read_text(encoding="utf-8").split()
    hashed = HashedTextVectorizer(
        encoding=options.encoding or "utf-8",
        ngram_range=(1, getattr(options, "ngrams", 1)),
        stop_words=words,
        sublinear_tf=getattr(options, "sublinear", False),
        n_features=n_features,
    )
    return TermRecorder(hashed.fit(), getattr(options, "max_terms", 65536))


def _columns(text: str | None) -> Any:
    if text is None:
        return None
    if "=" in text:
        ids, _, values = text.partition("=")
        return {ids: values or None}
    names = [name for name in text.split(",") if name]
    return [int(name) for name in names] if all(n.isdigit() for n in names) else names


def read_names(path: str | None) -> list[str] | None:
    """Return names of features from a file with one on each line."""
    return None if path is None else Path(path).read_text(encoding="utf-8").splitlines()
