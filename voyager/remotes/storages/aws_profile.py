"""Credentials, region and endpoint of AWS profiles, for clients that only know the environment."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

from voyager.config import foreign_variable
from voyager.errors import MissingExtraError, RemoteError
from voyager.remotes.urls import mask


class Credential(TypedDict):
    """What obstore signs with."""

    access_key_id: str
    secret_access_key: str
    token: str | None
    expires_at: datetime | None


class Profile(NamedTuple):
    """What a profile says; empty where it does not."""

    region: str
    endpoint: str
    credentials: Callable[[], Credential] | None


def has_profile() -> bool:
    """Whether profiles are to be read: one is named, or there are some and the environment alone
    does not say everything."""
    if foreign_variable("AWS_PROFILE"):
        return True
    region = foreign_variable("AWS_REGION") or foreign_variable("AWS_DEFAULT_REGION")
    if foreign_variable("AWS_SKIP_SIGNATURE") or (foreign_variable("AWS_ACCESS_KEY_ID") and region):
        return False
    return any(path.is_file() for path in _files())


def read_profile() -> Profile:
    """The profile in force, as botocore understands it (SSO, roles and processes too)."""
    try:
        from botocore.exceptions import BotoCoreError
        from botocore.session import Session
    except ModuleNotFoundError:
        raise MissingExtraError(
            "AWS profiles need botocore", hint="pip install 'voyager-vgr[s3]'"
        ) from None
    session = Session()
    try:
        scoped: dict[str, Any] = session.get_scoped_config()
        region = session.get_config_variable("region")
        found = session.get_credentials()
    except BotoCoreError as error:
        raise RemoteError(
            mask(f"the AWS profile cannot be used: {error}"), hint="aws configure list"
        ) from None
    return Profile(
        region or "", _endpoint(session, scoped), None if found is None else _signer(found)
    )


def _endpoint(session: Any, scoped: dict[str, Any]) -> str:
    services = session.full_config.get("services", {}).get(scoped.get("services", ""), {})
    own: dict[str, str] = services.get("s3", {})
    return own.get("endpoint_url") or scoped.get("endpoint_url") or ""


def _signer(found: Any) -> Callable[[], Credential]:
    """A call that obstore makes for each connection's worth of requests; botocore refreshes."""

    def credentials() -> Credential:
        frozen = found.get_frozen_credentials()
        return Credential(
            access_key_id=frozen.access_key,
            secret_access_key=frozen.secret_key,
            token=frozen.token,
            expires_at=getattr(found, "_expiry_time", None),
        )

    return credentials


def _files() -> list[Path]:
    home = Path(foreign_variable("HOME") or "~")
    return [
        Path(foreign_variable("AWS_SHARED_CREDENTIALS_FILE") or home / ".aws" / "credentials"),
        Path(foreign_variable("AWS_CONFIG_FILE") or home / ".aws" / "config"),
    ]
