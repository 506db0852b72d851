"""Moving the root of a remote for another reason than a push, by compare-and-swap."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable

from voyager.errors import NotFoundError, RefMoved, RemoteError, StateError
from voyager.remotes.base import PreconditionFailed, Storage
from voyager.remotes.root import ROOT, Move, Root, encode_root, get_root
from voyager.remotes.urls import mask_url
from voyager.repo.repository import Repository

_MOST_SWAPS = 50
_LONGEST_PAUSE = 1.0

Change = Callable[[Root], Root | None]
"""From a root to what it is to be; None where nothing is to change."""


def change_root(repo: Repository, storage: Storage, change: Change) -> Root:
    """Change the root of a remote; the root that stands then.

    `change` is asked again for each root that somebody else put there meanwhile, which it may
    notice itself and say by PreconditionFailed. Raises NotFoundError where nothing was pushed yet,
    RefMoved when others were always faster.
    """
    if storage.read_only:
        raise StateError(f"{mask_url(storage.url)} can only be read", hint="vgr remote ls")
    nonce = os.urandom(16)
    who, now = repo.config.author_or_unknown(), repo.config.now().ms
    for attempt in range(_MOST_SWAPS):
        root, tag = read_tagged(storage)
        if attempt and root.has_move(nonce):
            return root
        try:
            new = change(root)
            if new is None:
                return root
            new = new.moved({}, [], Move(nonce=nonce, time=now, who=who))
            storage.put_if(ROOT, encode_root(new), tag)
        except PreconditionFailed:
            pass
        except RemoteError as error:
            if not error.retry:
                raise
        else:
            return new
        pause(attempt)
    raise RefMoved(
        f"pushes to {mask_url(storage.url)} were faster {_MOST_SWAPS} times", hint="try again"
    )


def read_tagged(storage: Storage) -> tuple[Root, str]:
    """The root and its tag; NotFoundError where nothing was pushed yet."""
    try:
        return get_root(storage)
    except NotFoundError:
        raise nothing_pushed(storage) from None


def nothing_pushed(storage: Storage) -> NotFoundError:
    """What to say of a place without a root."""
    url = mask_url(storage.url)
    return NotFoundError(f"nothing was pushed to {url} yet", hint=f"vgr push {url} main")


def pause(attempt: int) -> None:
    """Let others be faster for a moment, longer each time."""
    time.sleep(random.uniform(0, min(_LONGEST_PAUSE, 0.02 * 1.5**attempt)))
