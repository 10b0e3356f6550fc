"""Makes the stand's certificates: an authority of exactly so many bytes, and the endpoints' own.

    python certificates.py FOLDER BYTES

The authority takes a root's place in a copy of a program, so it has to be as long; an extension that nobody reads fills it.
"""

import datetime
import ipaddress
import pathlib
import sys

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

# Under 2.25, which is for ids made from UUIDs.
FILLER = x509.ObjectIdentifier("2.25.1")
NOW = datetime.datetime.now(datetime.timezone.utc)


def builder(name: str, issuer: str, key, serial: int) -> x509.CertificateBuilder:
    def named(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])

    return (
        x509.CertificateBuilder()
        .subject_name(named(name))
        .issuer_name(named(issuer))
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(NOW - datetime.timedelta(days=1))
        .not_valid_after(NOW + datetime.timedelta(days=7))
    )


def authority(key, length: int) -> x509.Certificate:
    plain = (
        builder("bench", "bench", key, 1)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    for fill in range(length):
        filled = plain.add_extension(x509.UnrecognizedExtension(FILLER, bytes(fill)), critical=False)
        made = filled.sign(key, hashes.SHA256())
        if len(made.public_bytes(serialization.Encoding.DER)) == length:
            return made
    sys.exit(f"no authority has {length} bytes")


def main() -> None:
    folder, length = pathlib.Path(sys.argv[1]), int(sys.argv[2])
    root_key, key = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))
    root = authority(root_key, length)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    own = (
        builder("endpoint", "bench", key, 2)
        .add_extension(address, critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), critical=False)
        .add_extension(x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(root_key, hashes.SHA256())
    )
    der, pem = serialization.Encoding.DER, serialization.Encoding.PEM
    (folder / "root.der").write_bytes(root.public_bytes(der))
    (folder / "root.pem").write_bytes(root.public_bytes(pem))
    (folder / "endpoint.der").write_bytes(own.public_bytes(der))
    private = key.private_bytes(der, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "endpoint.key").write_bytes(private)


main()
