"""A private CA for tests, made with openssl."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Files = tuple[Path, Path, Path]
Authority = Callable[[str, str], Files]


def openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """``authority(ca, name)``: certificate, key and CA of ``name``, signed by the CA called ``ca``."""
    folder = tmp_path_factory.mktemp("tls")
    made: dict[str, tuple[Path, Path]] = {}

    def key_and_request(name: str, *more: str | Path) -> tuple[Path, Path]:
        key, cert = folder / f"{name}.key", folder / f"{name}.pem"
        openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                "-keyout", key, "-out", cert, "-subj", f"/CN={name}", *more)  # fmt: skip
        return cert, key

    def issue(ca: str, name: str) -> Files:
        if ca not in made:
            made[ca] = key_and_request(ca, "-x509", "-days", "2")
        ca_cert, ca_key = made[ca]
        label = f"{ca}-{name}"
        if label not in made:
            request, key = key_and_request(label)
            cert, names = folder / f"{label}.crt", folder / f"{label}.ext"
            names.write_text(f"subjectAltName=DNS:{name},DNS:localhost,IP:127.0.0.1\n")
            openssl("x509", "-req", "-in", request, "-CA", ca_cert, "-CAkey", ca_key, "-CAcreateserial",
                    "-out", cert, "-days", "2", "-extfile", names)  # fmt: skip
            made[label] = cert, key
        return *made[label], ca_cert

    return issue
