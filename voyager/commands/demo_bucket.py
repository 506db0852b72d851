"""An S3 server on this machine for the demo, where what that needs is installed (moto)."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib.util import find_spec

from voyager.config import with_variables

_NEEDED = ("moto", "flask", "flask_cors", "obstore")
_BUCKET = "demo"
_URL = f"s3://{_BUCKET}/clothes"


def can_serve() -> bool:
    """Whether all is installed that the server and its client need."""
    return all(find_spec(name) for name in _NEEDED)


@contextmanager
def bucket() -> Iterator[str]:
    """The URL of a folder in a new bucket, which goes away with the context."""
    from urllib.request import Request, urlopen

    from moto.server import ThreadedMotoServer

    from voyager.remotes.registry import open_storage

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        endpoint = f"http://{host}:{port}"
        with with_variables(
            {
                "AWS_ACCESS_KEY_ID": "demo",
                "AWS_ENDPOINT_URL": endpoint,
                "AWS_ENDPOINT_URL_S3": endpoint,
                "AWS_REGION": "us-east-1",
                "AWS_SECRET_ACCESS_KEY": "demo",
                "NO_PROXY": host,
                "no_proxy": host,
            }
        ):
            urlopen(Request(f"{endpoint}/{_BUCKET}", method="PUT")).close()
            yield _URL
            # The objects of such a server live as long as the process, not as the server.
            with closing(open_storage(_URL)) as storage:
                storage.delete([found.name for found in storage.list("")])
    finally:
        server.stop()
