"""What ledgers do with a signature: ledger.py PUBLIC.der HASH MESSAGE SIGNATURE recovers the public key from r, s and v, in plain
arithmetic on secp256k1 (SEC 1, 4.1.6)."""

import hashlib
import sys

P = 2**256 - 2**32 - 977
N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
G = (
    0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798,
    0x483ADA7726A3C4655DA4FBFC0E1108A8FD17B448A68554199C47D08FFB10D4B8,
)


def add(a, b):
    if a is None or b is None:
        return a or b
    if a[0] == b[0] and (a[1] + b[1]) % P == 0:
        return None
    slope = (3 * a[0] * a[0] * pow(2 * a[1], -1, P) if a == b else (b[1] - a[1]) * pow(b[0] - a[0], -1, P)) % P
    x = (slope * slope - a[0] - b[0]) % P
    return x, (slope * (a[0] - x) - a[1]) % P


def times(k, point):
    total = None
    for bit in bin(k % N)[2:]:
        total = add(total, total)
        if bit == "1":
            total = add(total, point)
    return total


def rotate(word, by):
    return (word << by | word >> (64 - by)) & (2**64 - 1) if by else word


def keccak256(data):
    """FIPS 202, 3, with the padding that was there before it: 0x01."""
    state = [[0] * 5 for _ in range(5)]
    padded = data + b"\x01" + bytes(-(len(data) + 1) % 136)
    padded = padded[:-1] + bytes([padded[-1] | 0x80])
    for start in range(0, len(padded), 136):
        for lane in range(17):
            word = int.from_bytes(padded[start + 8 * lane : start + 8 * lane + 8], "little")
            state[lane % 5][lane // 5] ^= word
        register = 1
        for _ in range(24):
            parity = [a[0] ^ a[1] ^ a[2] ^ a[3] ^ a[4] for a in state]
            change = [parity[x - 1] ^ rotate(parity[(x + 1) % 5], 1) for x in range(5)]
            state = [[state[x][y] ^ change[x] for y in range(5)] for x in range(5)]
            x, y, word = 1, 0, state[1][0]
            for step in range(24):
                x, y = y, (2 * x + 3 * y) % 5
                word, state[x][y] = state[x][y], rotate(word, (step + 1) * (step + 2) // 2 % 64)
            for y in range(5):
                row = [state[x][y] for x in range(5)]
                for x in range(5):
                    state[x][y] = row[x] ^ (~row[(x + 1) % 5] & row[(x + 2) % 5])
            for place in range(7):
                register = (register << 1 ^ (register >> 7) * 0x71) % 256
                if register & 2:
                    state[0][0] ^= 1 << ((1 << place) - 1)
    return b"".join(state[lane % 5][lane // 5].to_bytes(8, "little") for lane in range(4))


assert keccak256(b"").hex() == "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
assert keccak256(b"abc").hex() == "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45"

public = open(sys.argv[1], "rb").read()[-64:]
message = open(sys.argv[3], "rb").read()
signature = open(sys.argv[4], "rb").read()
digest = {"keccak256": keccak256, "sha256": lambda data: hashlib.sha256(data).digest()}[sys.argv[2]](message)
assert len(signature) == 65
r, s, v = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big"), signature[64]
assert 0 < s <= N // 2, "s is not the lower one"
x = r + N * (v >> 1)
y = pow(x**3 + 7, (P + 1) // 4, P)
if y % 2 != v % 2:
    y = P - y
inverse = pow(r, -1, N)
u1, u2 = -int.from_bytes(digest, "big") * inverse % N, s * inverse % N
found = add(times(u1, G), times(u2, (x, y)))
assert b"".join(number.to_bytes(32, "big") for number in found) == public, "another key"
print("the ledger is content", keccak256(message).hex())
