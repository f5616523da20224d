"""A server's certificate for ``localhost`` and 127.0.0.1, made for these tests and valid until 2120.

It is its own authority, and its key is no secret: it stands here.
"""

from __future__ import annotations

import os
import pathlib
import ssl
import tempfile

CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIIBdzCCAR2gAwIBAgIBATAKBggqhkjOPQQDAjAUMRIwEAYDVQQDDAlsb2NhbGhv
c3QwIBcNMjAwMTAxMDAwMDAwWhgPMjEyMDAxMDEwMDAwMDBaMBQxEjAQBgNVBAMM
CWxvY2FsaG9zdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABMdzgdz0UEVN9fN/
SSlthpuZ504Q55xb/nEL60N3M2prXXYwcxY/MJ2hX78KUitTc1mkBXLws/7YnsmU
sTHF/G2jXjBcMBoGA1UdEQQTMBGCCWxvY2FsaG9zdIcEfwAAATAPBgNVHRMBAf8E
BTADAQH/MA4GA1UdDwEB/wQEAwIChDAdBgNVHQ4EFgQU8nH7cwZ3JSvq3mbvlXb9
jSY9WycwCgYIKoZIzj0EAwIDSAAwRQIhAPfy5S1DYyhR5er4uRDL749lGFROeu23
UCK3FVcUTrogAiAFmlTm+dwfwDPbIhX5x/+GQNFGttcoZnA0aZq1D7FgGQ==
-----END CERTIFICATE-----
"""

_KEY = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgpgCY7pcLJIvdnD6L
4gRcZVu9EYL9/kpkB4cQwYOtsfmhRANCAATHc4Hc9FBFTfXzf0kpbYabmedOEOec
W/5xC+tDdzNqa112MHMWPzCdoV+/ClIrU3NZpAVy8LP+2J7JlLExxfxt
-----END PRIVATE KEY-----
"""


def certificate_file(folder: pathlib.Path) -> str:
    """A file to trust this server by."""
    path = folder / "authority.pem"
    path.write_text(CERTIFICATE)
    return str(path)


def server_context(*protocols: str) -> ssl.SSLContext:
    """What a server needs; it offers these protocols (ALPN)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if protocols:
        context.set_alpn_protocols(list(protocols))
    handle, path = tempfile.mkstemp()
    try:
        with os.fdopen(handle, "w") as file:
            file.write(_KEY + CERTIFICATE)
        context.load_cert_chain(path)
    finally:
        os.unlink(path)
    return context
