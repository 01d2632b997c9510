"""PyCryptodome beside `kmss`, by docs/ciphertext.md and the standards alone:

open KEYFILE CIPHERTEXT [NAME=VALUE...]             prints the text of a message
seal KEYFILE CIPHERTEXT TEXT OUT [NAME=VALUE...]    writes a message of its own under the key and algorithm of CIPHERTEXT
mac NAME KEYFILE FILE                               prints aes-cmac or hmac-… in hex
verify ALGORITHM PUBLIC FILE SIGNATURE              says whether it holds
"""

import os
import sys

from Crypto.Cipher import AES, ChaCha20_Poly1305
from Crypto.Hash import CMAC, HMAC, SHA256, SHA384, SHA512
from Crypto.PublicKey import ECC, RSA
from Crypto.Signature import DSS, eddsa, pkcs1_15, pss

HASHES = {"sha256": SHA256, "sha384": SHA384, "sha512": SHA512}


def read(path):
    with open(path, "rb") as file:
        return file.read()


def number(n):
    return n.to_bytes(4, "big")


def derived(key, header):
    """The key of a message, and the commitment to it."""
    algorithm = header[5]

    def prf(data):
        if algorithm == 5:
            return HMAC.new(key, data, digestmod=SHA256).digest()
        return CMAC.new(key, data, ciphermod=AES).digest()

    fixed = b"kmss/1 message" + b"\0" + header[4:42] + number(256)
    root = b"".join(prf(bytes([counter]) + fixed) for counter in ((1,) if algorithm == 5 else (1, 2)))
    size = {1: 32, 2: 32, 4: 64, 5: 32}[algorithm]
    stream, block, counter = b"", b"", 1
    while len(stream) < size + 32:
        block = HMAC.new(root, block + b"kmss/1 key and commitment" + bytes([counter]), digestmod=SHA256).digest()
        stream, counter = stream + block, counter + 1
    return stream[:size], stream[size : size + 32]


def cipher(algorithm, key, header, context):
    associated = header + number(len(context))
    for name, value in context:
        associated += number(len(name)) + name + number(len(value)) + value
    if algorithm == 1:
        made = AES.new(key, AES.MODE_GCM, nonce=bytes(12))
    elif algorithm == 4:
        made = AES.new(key, AES.MODE_SIV)
    else:
        made = ChaCha20_Poly1305.new(key=key, nonce=bytes(12))
    made.update(associated)
    return made


def pairs(words):
    return sorted(tuple(word.encode().split(b"=", 1)) for word in words)


def opened(key, message, context):
    header, body = message[:74], message[74:]
    assert header[:4] == b"KMSC" and header[4] == 1
    message_key, commitment = derived(key, header)
    assert commitment == header[42:]
    if header[5] == 4:
        text, tag = body[16:], body[:16]
    else:
        text, tag = body[:-16], body[-16:]
    return cipher(header[5], message_key, header, context).decrypt_and_verify(text, tag)


def sealed(key, model, text, context):
    """A message with the algorithm, key and version of `model`, and a salt of its own."""
    start = model[:26] + (bytes(16) if model[5] == 4 else os.urandom(16))
    message_key, commitment = derived(key, start)
    header = start + commitment
    ciphertext, tag = cipher(header[5], message_key, header, context).encrypt_and_digest(text)
    return header + (tag + ciphertext if header[5] == 4 else ciphertext + tag)


def mac(name, key, data):
    if name == "aes-cmac":
        return CMAC.new(key, data, ciphermod=AES).hexdigest()
    return HMAC.new(key, data, digestmod=HASHES[name.removeprefix("hmac-")]).hexdigest()


def verify(algorithm, public, data, signature):
    """Raises ValueError where it does not hold."""
    scheme, _, name = algorithm.rpartition("-")
    if algorithm == "eddsa":
        eddsa.new(ECC.import_key(public), "rfc8032").verify(data, signature)
        return
    digest = HASHES[name].new(data)
    if scheme == "ecdsa":
        DSS.new(ECC.import_key(public), "fips-186-3", encoding="der").verify(digest, signature)
    else:
        {"rsa-pss": pss, "rsa-pkcs1": pkcs1_15}[scheme].new(RSA.import_key(public)).verify(digest, signature)


def main():
    verb, *words = sys.argv[1:]
    if verb == "open":
        sys.stdout.buffer.write(opened(read(words[0]), read(words[1]), pairs(words[2:])))
    elif verb == "seal":
        message = sealed(read(words[0]), read(words[1]), read(words[2]), pairs(words[4:]))
        with open(words[3], "wb") as out:
            out.write(message)
    elif verb == "mac":
        print(mac(words[0], read(words[1]), read(words[2])))
    elif verb == "verify":
        verify(words[0], read(words[1]), read(words[2]), read(words[3]))
        print("the signature holds")
    else:
        raise SystemExit(f"no verb {verb}")


main()
