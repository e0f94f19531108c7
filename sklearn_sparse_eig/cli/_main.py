"""The command as a whole: its arguments, and how errors and warnings are told."""

import argparse
import sys
import traceback
import warnings
from collections.abc import Sequence
from typing import Any

from . import _fit, _info, _merge, _show, _transform
from ._flags import in_flags

_COMMANDS = {
    "fit": _fit,
    "merge": _merge,
    "show": _show,
    "transform": _transform,
    "info": _info,
}
# What our own messages come with.
_EXPECTED = (ValueError, TypeError, OSError, ImportError, MemoryError)
_EXAMPLES = """examples:
  sparse-eig fit shards/*.parquet -o topics.skse -k 10 -s 8 --checkpoint run.ckpt
  sparse-eig fit letters/ -o topics.skse -k 5 -s 8 --positive --stop-words english
  sparse-eig show topics.skse
  sparse-eig merge monday.skse tuesday.skse -o week.skse
  sparse-eig transform topics.skse new.parquet -o scores.npy
  sparse-eig info topics.skse

exit status: 0 if all went well, 1 after an error, which is told in a sentence, 2 if the arguments
cannot be understood, 130 after Ctrl-C.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command ``sparse-eig`` and return its exit status.

    Parameters
    ----------
    arguments : sequence of str, default=None
        What follows the name of the command. None takes it from the command line.

    Returns
    -------
    int
        0, or 1 after an error, or 130 after Ctrl-C. Arguments that cannot be understood end the
        process with 2.
    """
    options = _parser().parse_args(arguments)
    with warnings.catch_warnings():
        warnings.showwarning = _tell_warning
        # What is said of names is settled when a source is opened.
        warnings.filterwarnings("ignore", "X does not have valid feature names")
        try:
            options.run(options)
            sys.stdout.flush()
        except KeyboardInterrupt:
            print("\nsparse-eig: interrupted.", file=sys.stderr)
            return 130
        except BrokenPipeError:  # the reader of our output, such as head, has had enough
            sys.stderr.close()
            return 0
        except _EXPECTED as error:
            return _tell_error(error, options.debug)
        except Exception as error:
            name = type(error).__name__
            return _tell_error(error, options.debug, f"{name} (--debug shows where): ")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sparse-eig",
        description="Sparse principal components of the rows in files, by a small linear sketch.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, module in _COMMANDS.items():
        description = module.__doc__ or ""
        command = commands.add_parser(
            name,
            help=description.partition("\n")[0].rstrip("."),
            description=description.partition("\n")[0],
            epilog=module.EXAMPLES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.add_argument(
            "--debug", action="store_true", help="show where in the program an error occurs"
        )
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return parser


def _version() -> str:
    from .. import __version__  # the package has been imported by then

    return f"sparse-eig {__version__}"


def _tell_error(error: Exception, debug: bool, prefix: str = "") -> int:
    if debug:
        traceback.print_exc()
    text = str(error) if not isinstance(error, OSError) or error.strerror is None else _of_os(error)
    text = in_flags(text) or type(error).__name__
    if isinstance(error, MemoryError):
        text = f"There is not enough memory. {text} Give less by --memory, or smaller batches."
    print(f"sparse-eig: error: {prefix}{text}", file=sys.stderr)
    return 1


def _of_os(error: OSError) -> str:
    name = f"{error.filename}: " if error.filename else ""
    return f"{name}{error.strerror}."


def _tell_warning(message: Any, category: Any, *_: Any, **__: Any) -> None:
    print(f"sparse-eig: warning: {in_flags(str(message))}", file=sys.stderr)
