"""Where the pack index lies: in the repository, or in the user's cache for network file systems.

LMDB maps its file into memory, which is not safe where another machine writes the same file. Packs
and journal stay in the repository; each machine makes an index of its own from them.
"""

from __future__ import annotations

import os
import platform
from pathlib import Path

from voyager.store.pack_index import short_hash

_NETWORK = {"9p", "afs", "beegfs", "ceph", "cifs", "fuse.sshfs", "glusterfs", "gpfs", "lustre"}
_NETWORK |= {"ncpfs", "nfs", "nfs4", "smb3", "smbfs"}
_MOUNTS = "/proc/self/mountinfo"


def index_folder(root: Path) -> Path:
    """The folder of the index of the store in `root`, on this machine."""
    if file_system_of(root) not in _NETWORK:
        return root / "index"
    name = short_hash(os.path.realpath(root), platform.node()).hex()
    return Path("~/.cache/voyager/index").expanduser() / name


def file_system_of(path: Path) -> str:
    """The type of the file system that holds a path, such as `ext4`; empty where nobody tells."""
    try:
        with open(_MOUNTS, encoding="utf-8", errors="surrogateescape") as mounts:
            lines = mounts.read().splitlines()
    except OSError:
        return ""
    here = os.path.realpath(path)
    best, found = "", ""
    for line in lines:
        before, _, after = line.partition(" - ")
        point = before.split(" ")[4].encode().decode("unicode_escape")  # a space is \040
        inside = here == point or here.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, found = point, after.split(" ")[0]
    return found
