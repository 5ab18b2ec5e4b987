"""A certificate authority of the tests' own, made with openssl in a directory of the test.

    authority = Authority(tmp_path)
    pair = authority.issue("dns.example", "DNS:dns.example,IP:127.0.0.1")
    pair.certificate, pair.key, authority.certificate      files in PEM form
"""

import os
import pathlib
import types

from godwit import run


P_256 = "ec", "-pkeyopt", "ec_paramgen_curve:P-256"


class Authority:
    def __init__(self, directory, name="ca"):
        self.directory = pathlib.Path(directory) / f"{name}-files"
        self.directory.mkdir()
        self.certificate = self.directory / "ca.crt"
        self._key = self.directory / "ca.key"
        self._count = 0
        run("openssl", "req", "-x509", "-newkey", *P_256, "-nodes", "-keyout", self._key, "-out",
            self.certificate, "-days", "3", "-subj", f"/CN=Test {name}")

    def issue(self, name, names="IP:127.0.0.1", days=2, key=P_256):
        """A certificate with subject CN=`name` and subjectAltName `names`, signed by the CA; `key` is
        what openssl shall make."""
        self._count += 1
        base = self.directory / f"{self._count}"
        pair = types.SimpleNamespace(certificate=base.with_suffix(".crt"),
                                     key=base.with_suffix(".key"))
        request = base.with_suffix(".csr")
        run("openssl", "req", "-newkey", *key, "-nodes", "-keyout", pair.key, "-out", request,
            "-subj", f"/CN={name}", "-addext", f"subjectAltName={names}")
        run("openssl", "x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self._key,
            "-set_serial", str(1000 + self._count), "-copy_extensions", "copy", "-out",
            pair.certificate, "-days", str(days))
        return pair


class Mount:
    """Certificate files as Kubernetes mounts a secret: tls.crt and tls.key lead through one symlink,
    which is swapped whole."""

    def __init__(self, directory, pair):
        self.directory = pathlib.Path(directory) / "mount"
        self.directory.mkdir()
        self._count = 0
        self.certificate = self.directory / "tls.crt"
        self.key = self.directory / "tls.key"
        self.swap(pair)
        self.certificate.symlink_to("data/tls.crt")
        self.key.symlink_to("data/tls.key")

    def swap(self, pair):
        self._count += 1
        folder = self.directory / f"data-{self._count}"
        folder.mkdir()
        (folder / "tls.crt").write_bytes(pair.certificate.read_bytes())
        (folder / "tls.key").write_bytes(pair.key.read_bytes())
        new = self.directory / "data-new"
        new.symlink_to(folder.name)
        os.rename(new, self.directory / "data")
