"""Which ssh hosts are spoken with: those whose keys stand in `~/.ssh/known_hosts`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from voyager.config import foreign_variable
from voyager.errors import MissingExtraError


def known_hosts_only() -> Any:
    """A policy of paramiko's that refuses hosts with keys that are not known.

    fsspec would believe any host at the first connection.
    """
    try:
        from paramiko import HostKeys, MissingHostKeyPolicy, SSHException
    except ModuleNotFoundError:
        raise MissingExtraError(
            "ssh:// remotes need paramiko", hint="pip install paramiko"
        ) from None
    path = Path(foreign_variable("HOME") or "~") / ".ssh" / "known_hosts"

    def missing_host_key(_policy: Any, _client: Any, hostname: str, key: Any) -> None:
        """Asked for each key that paramiko does not know, which is every one."""
        known = HostKeys(str(path)) if path.is_file() else HostKeys()
        if not known.check(hostname, key):
            raise SSHException(
                f"the key of host {hostname} ({key.get_name()}) is not in {path}: "
                "connect once with ssh"
            )

    return type("KnownHosts", (MissingHostKeyPolicy,), {"missing_host_key": missing_host_key})()
