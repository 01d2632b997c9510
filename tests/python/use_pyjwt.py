"""PyJWT: `make FOLDER` writes a key and a token of its own for each algorithm; `check FOLDER ISSUER` verifies FOLDER/*.token with
FOLDER/jwks.json, by the key that each names."""

import json
import pathlib
import sys
import time

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

FOLDER = pathlib.Path(sys.argv[2])
CURVES = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1(), "ES256K": ec.SECP256K1()}


def write(name, key, algorithm):
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (FOLDER / f"{name}.pem").write_bytes(pem)
    claims = {"iss": "python", "aud": ["kmss", "others"], "exp": int(time.time()) + 600}
    (FOLDER / f"{name}.token").write_text(jwt.encode(claims, key, algorithm=algorithm))


def make():
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    for algorithm in ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]:
        write(algorithm, key, algorithm)
    for algorithm, curve in CURVES.items():
        write(algorithm, ec.generate_private_key(curve), algorithm)
    write("Ed25519", ed25519.Ed25519PrivateKey.generate(), "EdDSA")
    write("Ed448", ed448.Ed448PrivateKey.generate(), "EdDSA")


def check():
    keys = {key["kid"]: key for key in json.loads((FOLDER / "jwks.json").read_text())["keys"]}
    names = sorted(FOLDER.glob("*.token"))
    for name in names:
        token = name.read_text().strip()
        header = jwt.get_unverified_header(token)
        assert header["typ"] == "JWT", header
        known = keys[header["kid"]]
        # Of an RSA key the set names one algorithm, and the key signs by several.
        if known["kty"] != "RSA":
            assert known["alg"] == header["alg"], (known, header)
        key = jwt.PyJWK(known, algorithm=header["alg"])
        claims = jwt.decode(token, key, algorithms=[header["alg"]], issuer=sys.argv[3], audience="python")
        assert claims["sub"] == "somebody" and claims["exp"] - claims["iat"] == 300, claims
        head, body, signature = token.split(".")
        try:
            jwt.decode(f"{head}.{body[:-2]}AA.{signature}", key, algorithms=[header["alg"]])
        except jwt.InvalidTokenError:
            continue
        raise AssertionError("another payload verifies")
    print(f"PyJWT is content with {len(names)}")


{"make": make, "check": check}[sys.argv[1]]()
