"""Files that are whole or not there: written beside, synchronised and renamed."""

import errno
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

PathLike = str | os.PathLike[str]

# What file systems answer where there is no room, in words that say what to do.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def write_whole(path: PathLike, parts: Iterable[bytes | memoryview]) -> None:
    """Write a file as a whole, or leave the one that was there.

    The bytes go to a file beside it, are synchronised with the disk, and take the place of the old
    file in one step: whoever reads finds the old file or the new one, also after a power failure.

    Parameters
    ----------
    path : path-like
        A link is followed.
    parts : iterable of bytes
        The contents, piece by piece.

    Raises
    ------
    OSError
        If the file cannot be written. What was there is then as it was.
    """
    target = Path(os.path.realpath(path))
    beside = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        mode = target.stat().st_mode & 0o777 if target.exists() else 0o666
        try:
            with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as f:
                for part in parts:
                    f.write(part)
                f.flush()
                os.fsync(f.fileno())
            os.replace(beside, target)
        except BaseException:
            with suppress(OSError):
                beside.unlink()
            raise
    except OSError as error:
        advice = "Make room on the disk" if error.errno in _FULL else "Choose another path"
        raise OSError(
            error.errno,
            f"{os.fspath(path)} could not be written ({error.strerror}). A file that was there is "
            f"as it was. {advice}",
        ) from error
    _synchronise_folder(target.parent)


def _synchronise_folder(folder: Path) -> None:
    """Have the disk know the new name; where folders cannot be opened, it comes by itself."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def check_place(path: PathLike) -> None:
    """Raise OSError if a file cannot be written there later, for want of a folder or of rights."""
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        code, advice = errno.ENOENT, "Make its folder first"
    elif target.is_dir():
        code, advice = errno.EISDIR, "Give the name of a file"
    elif not os.access(target.parent, os.W_OK):
        code, advice = errno.EACCES, "Choose another path"
    else:
        return
    raise OSError(code, f"{os.fspath(path)} cannot be written ({os.strerror(code)}). {advice}")


def remove_parts(path: PathLike) -> None:
    """Remove what runs that were killed have left beside a file."""
    target = Path(os.path.realpath(path))
    for part in target.parent.glob(f".{target.name}.*.part"):
        with suppress(OSError):
            part.unlink()


def read_whole(path: PathLike) -> bytes:
    """Return the contents of a file; OSError with a sentence if it cannot be read."""
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise type(error)(
            error.errno, f"{os.fspath(path)} could not be read ({error.strerror})"
        ) from error
