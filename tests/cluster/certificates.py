"""Certificates for tests, made by openssl: an authority, and servers' that it signed."""

import subprocess
from pathlib import Path

HERE = "IP:127.0.0.1,DNS:localhost"
ELSEWHERE = "DNS:elsewhere.example"


class Authority:
    """Somebody who signs."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = name
        self.cert = folder / f"{name}.pem"
        self._key = folder / f"{name}.key"
        request = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        subject = ["-subj", f"/CN={name}", "-days", "30"]
        openssl(*request, *subject, "-keyout", str(self._key), "-out", str(self.cert))

    def sign(
        self, name: str, names: str = HERE, *, expired: bool = False, days: int = 30
    ) -> tuple[Path, Path]:
        """A certificate and its key; an expired one was good for a day of the year 2020."""
        cert, key, wish = (self._folder / f"{name}.{end}" for end in ("pem", "key", "csr"))
        request = ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        openssl(*request, "-subj", f"/CN={name}", "-keyout", str(key), "-out", str(wish))
        extensions = self._folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName={names}\n")
        book = self._folder / f"{name}.book"
        book.mkdir()
        (book / "index").touch()
        config = book / "config"
        config.write_text(
            f"[ca]\ndefault_ca=x\n[x]\ndatabase={book}/index\nnew_certs_dir={book}\n"
            "rand_serial=yes\ndefault_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n"
        )
        end = ["-startdate", "20200101000000Z", "-enddate", "20200102000000Z"]
        span = end if expired else ["-days", str(days)]
        openssl(
            *["ca", "-batch", "-notext", "-config", str(config), "-extfile", str(extensions)],
            *["-cert", str(self.cert), "-keyfile", str(self._key), "-in", str(wish)],
            *["-out", str(cert), *span],
        )
        return cert, key

    def chain(
        self, name: str, names: str = HERE, *, expired: bool = False, days: int = 30
    ) -> tuple[Path, Path]:
        """As `sign`, with the authority's own certificate in the same file: what workers can believe in."""
        cert, key = self.sign(name, names, expired=expired, days=days)
        cert.write_text(cert.read_text() + self.cert.read_text())
        return cert, key


def openssl(*words: str) -> None:
    subprocess.run(["openssl", *words], check=True, capture_output=True)
