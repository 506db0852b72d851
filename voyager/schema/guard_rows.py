"""The guard's policy and releases to and from canonical bytes, and their keys (spec 9.11)."""

from __future__ import annotations

import re
from typing import Final

from voyager.schema.codec import RowKind, check_as, decode_as, encode_as, is_canonical_as
from voyager.schema.guard import GuardPolicy, Release

GUARD_KEY: Final = b"guard"
_RELEASE: Final = b"release/"
_RELEASE_KEY = re.compile(rb"release/([0-9a-f]{32})/([0-9a-f]{32})")
_POLICY_ROW: RowKind[GuardPolicy] = RowKind(GuardPolicy, "a guard policy")
_RELEASE_ROW: RowKind[Release] = RowKind(Release, "a release of the guard")


def encode_policy(policy: GuardPolicy) -> bytes:
    """The canonical row of a policy; InvalidDataError names a field of a wrong type."""
    return encode_as(check_as(policy, _POLICY_ROW), _POLICY_ROW)


def decode_policy(data: bytes) -> GuardPolicy:
    """The policy of a row; CorruptError for bytes that are none."""
    return decode_as(data, _POLICY_ROW)


def encode_release(release: Release) -> bytes:
    """The canonical row of a release."""
    return encode_as(check_as(release, _RELEASE_ROW), _RELEASE_ROW)


def decode_release(data: bytes) -> Release:
    """The release of a row; CorruptError for bytes that are none."""
    return decode_as(data, _RELEASE_ROW)


def release_key(uid: bytes, protected: bytes) -> bytes:
    """The key of the release of a pair: the uid of the copy, then that of the protected sample."""
    return _RELEASE + f"{uid.hex()}/{protected.hex()}".encode()


def parse_release_key(key: bytes) -> tuple[bytes, bytes] | None:
    """The two uids of such a key; None for any other."""
    found = _RELEASE_KEY.fullmatch(key)
    return None if found is None else (_unhex(found[1]), _unhex(found[2]))


def policy_words(key: bytes, data: bytes) -> str:
    """What a row of the space `policies` says: `protect test, action hold`, or a pair let go."""
    pair = parse_release_key(key)
    if pair is not None:
        return f"{decode_release(data).kind} {pair[0].hex()[:8]} of {pair[1].hex()[:8]}"
    if key != GUARD_KEY:
        return key.decode(errors="replace")
    policy = decode_policy(data)
    words = [f"protect {' '.join(policy.protected)}", f"action {policy.action or 'default'}"]
    words += [f"{name}={action}" for name, action in policy.actions.items()]
    words += [f"detectors {' '.join(policy.detectors)}"] if policy.detectors else []
    words += [f"{name} within {far:g}" for name, far in policy.thresholds.items()]
    return ", ".join([*words, "off"] if policy.off else words)


def is_canonical_policy_row(key: bytes, data: bytes) -> bool:
    """Whether `data` is the one encoding of what stands at a key of the space `policies`.

    Keys of a newer version are taken as they are.
    """
    if key == GUARD_KEY:
        return is_canonical_as(data, _POLICY_ROW)
    return not key.startswith(_RELEASE) or (
        parse_release_key(key) is not None and is_canonical_as(data, _RELEASE_ROW)
    )


def _unhex(text: bytes) -> bytes:
    return bytes.fromhex(text.decode())
