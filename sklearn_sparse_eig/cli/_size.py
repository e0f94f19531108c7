"""How large a file is, for people."""

import os

_UNITS = ("bytes", "kB", "MB", "GB", "TB")


def with_size(path: str) -> str:
    """Return a path and the size of its file, such as ``model.skse (89.9 MB)``."""
    size, unit = float(os.path.getsize(path)), 0
    while size >= 999.5 and unit < len(_UNITS) - 1:
        size, unit = size / 1000.0, unit + 1
    return f"{path} ({size:.3g} {_UNITS[unit]})"
