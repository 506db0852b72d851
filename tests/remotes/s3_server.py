"""An S3 server in this process (moto), on the loopback address, with fixed credentials."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import pytest
from moto.server import ThreadedMotoServer

from voyager.remotes.base import Storage
from voyager.remotes.registry import open_storage

ACCESS_KEY = "AKIAIOSFODNN7EXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
_numbers = count(1)


@contextmanager
def s3_server() -> Iterator[str]:
    """The endpoint of a server that runs as long as the context."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def use_server(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the environment name the server and credentials, and nothing else."""
    import os

    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_REGION", "us-east-1")


def new_bucket() -> str:
    """The URL of a new, empty bucket."""
    import boto3

    name = f"bucket-{next(_numbers)}"
    endpoint = _endpoint()
    boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1").create_bucket(Bucket=name)
    return f"s3://{name}"


def open_bucket(folder: str = "data set/v1") -> Storage:
    """The storage of a folder in a new bucket."""
    return open_storage(f"{new_bucket()}/{folder}")


def _endpoint() -> str:
    import os

    return os.environ["AWS_ENDPOINT_URL"]
