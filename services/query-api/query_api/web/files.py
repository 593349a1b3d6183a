"""Files of the built dashboard: read once and served from memory, so that no request accesses the file system."""

import gzip
import mimetypes
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

PAGE = "index.html"


@dataclass(frozen=True)
class BuiltFile:
    body: bytes
    zipped: bytes | None
    """None if gzip does not make it smaller."""
    media_type: str
    tag: str
    """For If-None-Match."""


def read_dashboard(folder: Path) -> Mapping[str, BuiltFile] | None:
    """Files by path relative to `folder`; None if the dashboard was not built. Raises OSError."""
    if not (folder / PAGE).is_file():
        return None
    return {path.relative_to(folder).as_posix(): read_file(path) for path in find_files(folder)}


def find_files(folder: Path) -> Iterator[Path]:
    """All files except hidden ones and symbolic links, which could point outside the folder."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.is_symlink():
            continue
        if path.is_dir():
            yield from find_files(path)
        else:
            yield path


def read_file(path: Path) -> BuiltFile:
    body = path.read_bytes()
    zipped = gzip.compress(body, mtime=0)
    media_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    tag = f'W/"{blake2b(body, digest_size=16).hexdigest()}"'  # weak: the same for plain and compressed bodies
    return BuiltFile(body, zipped if len(zipped) < len(body) else None, media_type, tag)
