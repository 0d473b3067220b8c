"""What Python's audit events say of files."""

import os
from typing import Any

_PLACES = {"os.remove": 1, "os.rmdir": 1, "os.mkdir": 2, "os.chmod": 2, "os.chown": 3,
           "os.utime": 3, "shutil.rmtree": 1, "os.truncate": None, "os.setxattr": None,
           "os.removexattr": None}
"""Events that change the path they begin with, and where they have its folder's descriptor."""


def changed(event: str, arguments: tuple[Any, ...]) -> list[str]:
    """Absolute paths that an event changes; none if it changes no file, or an open one.

    Of a link these are where it is and where it leads to, of a renamed file both of its places.
    """
    if event == "open":
        path, _, flags = arguments
        writes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        return _absolute(path) if writes else []
    if event in ("os.rename", "os.link"):
        source, target, source_folder, target_folder = arguments
        return _absolute(source, source_folder) + _absolute(target, target_folder)
    if event == "os.symlink":
        leads_to, path, folder = arguments
        made = _absolute(path, folder)
        return made + [os.path.normpath(os.path.join(os.path.dirname(each), os.fsdecode(leads_to)))
                       for each in made]
    if event in _PLACES:
        place = _PLACES[event]
        return _absolute(arguments[0], None if place is None else arguments[place])
    return []


def _absolute(path: Any, folder: int | None = None) -> list[str]:
    if not isinstance(path, str | bytes | os.PathLike):
        return []
    base = (os.getcwd() if folder is None or folder < 0 else
            os.readlink(f"/proc/self/fd/{folder}"))
    return [os.path.normpath(os.path.join(base, os.fsdecode(path)))]
