"""Decrypts a message by docs/ciphertext.md alone: native.py KEYFILE CIPHERTEXT [NAME=VALUE...]."""

import hmac
import hashlib
import sys

from cryptography.hazmat.primitives import cmac, hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, AESSIV, ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand


def number(n):
    return n.to_bytes(4, "big")


def main():
    key = open(sys.argv[1], "rb").read()
    message = open(sys.argv[2], "rb").read()
    context = sorted(tuple(part.encode().split(b"=", 1)) for part in sys.argv[3:])

    header, body = message[:74], message[74:]
    assert header[:4] == b"KMSC" and header[4] == 1
    algorithm, commitment = header[5], header[42:74]

    def prf(data):
        if algorithm == 5:
            return hmac.digest(key, data, hashlib.sha256)
        mac = cmac.CMAC(algorithms.SM4(key) if algorithm == 3 else algorithms.AES(key))
        mac.update(data)
        return mac.finalize()

    fixed = b"kmss/1 message" + b"\0" + header[4:42] + number(256)
    root = b""
    counter = 1
    while len(root) < 32:
        root += prf(bytes([counter]) + fixed)
        counter += 1

    size = {1: 32, 2: 32, 3: 16, 4: 64, 5: 32}[algorithm]
    digest = hashes.SM3() if algorithm == 3 else hashes.SHA256()
    derived = HKDFExpand(digest, size + 32, b"kmss/1 key and commitment").derive(root)
    message_key = derived[:size]
    assert hmac.compare_digest(derived[size:], commitment)

    encoded = number(len(context))
    for name, value in context:
        encoded += number(len(name)) + name + number(len(value)) + value
    associated = header + encoded

    if algorithm == 1:
        plaintext = AESGCM(message_key).decrypt(bytes(12), body, associated)
    elif algorithm in (2, 5):
        plaintext = ChaCha20Poly1305(message_key).decrypt(bytes(12), body, associated)
    elif algorithm == 4:
        plaintext = AESSIV(message_key).decrypt(body, [associated])
    else:
        decryptor = Cipher(algorithms.SM4(message_key), modes.GCM(bytes(12), body[-16:])).decryptor()
        decryptor.authenticate_additional_data(associated)
        plaintext = decryptor.update(body[:-16]) + decryptor.finalize()
    sys.stdout.buffer.write(plaintext)


main()
