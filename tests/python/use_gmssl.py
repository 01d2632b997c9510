"""gmssl and the module read what the other made: MODULE TOKEN PIN. SM3, SM4, SM2 signatures and SM2 encryption."""

import os
import sys

import PyKCS11
from gmssl import sm2, sm3, sm4
from PyKCS11 import CKA_CLASS, CKA_TOKEN, CKA_VALUE, CKO_PRIVATE_KEY, CKO_PUBLIC_KEY, CKO_SECRET_KEY, Mechanism

CKK_SM4, CKK_SM2 = 0x80000015, 0x80000016
CKM_SM3 = 0x80000B01
CKM_SM4_ECB, CKM_SM4_CBC_PAD = 0x80000B11, 0x80000B13
CKM_SM2_KEY_PAIR_GEN, CKM_SM2_SM3, CKM_SM2_ENCRYPT = 0x80000B20, 0x80000B22, 0x804B4D01
# OBJECT IDENTIFIER 1.2.156.10197.1.301
CURVE = bytes.fromhex("06082a811ccf5501822d")
LENGTHS = (1, 15, 16, 17, 55, 56, 63, 64, 65, 1000)
MESSAGE = "what both of them sign: 国密".encode()


def made(of_class, of_type, *more):
    return [(CKA_CLASS, of_class), (PyKCS11.CKA_KEY_TYPE, of_type), (CKA_TOKEN, PyKCS11.CK_FALSE), *more]


def hashes(session):
    for length in LENGTHS:
        data = os.urandom(length)
        assert bytes(session.digest(data, Mechanism(CKM_SM3))).hex() == sm3.sm3_hash(list(data)), length


def encrypts(session):
    value = os.urandom(16)
    key = session.createObject(
        made(
            CKO_SECRET_KEY,
            CKK_SM4,
            (CKA_VALUE, value),
            (PyKCS11.CKA_ENCRYPT, PyKCS11.CK_TRUE),
            (PyKCS11.CKA_DECRYPT, PyKCS11.CK_TRUE),
        )
    )
    there, back = sm4.CryptSM4(), sm4.CryptSM4()
    there.set_key(value, sm4.SM4_ENCRYPT)
    back.set_key(value, sm4.SM4_DECRYPT)
    for length in LENGTHS:
        data, iv = os.urandom(length), os.urandom(16)
        cbc = Mechanism(CKM_SM4_CBC_PAD, iv)
        ours, theirs = bytes(session.encrypt(key, data, cbc)), there.crypt_cbc(iv, data)
        assert ours == theirs and back.crypt_cbc(iv, ours) == data, length
        assert bytes(session.decrypt(key, theirs, cbc)) == data, length
    # gmssl pads in ECB, which the mechanism does not: whole blocks, and its block of padding left out.
    data = os.urandom(48)
    assert bytes(session.encrypt(key, data, Mechanism(CKM_SM4_ECB))) == there.crypt_ecb(data)[:48]


def peer(public, private="", **more):
    """gmssl with these keys. Its constructor strips every 0 and 4 from the front of a point, those of the number too."""
    made = sm2.CryptSM2(private, "", **more)
    made.public_key = public
    return made


def signs(session):
    public, private = session.generateKeyPair(
        made(CKO_PUBLIC_KEY, CKK_SM2, (PyKCS11.CKA_EC_PARAMS, CURVE), (PyKCS11.CKA_ENCRYPT, PyKCS11.CK_TRUE)),
        made(CKO_PRIVATE_KEY, CKK_SM2, (PyKCS11.CKA_DECRYPT, PyKCS11.CK_TRUE)),
        mecha=Mechanism(CKM_SM2_KEY_PAIR_GEN),
    )
    point = bytes(session.getAttributeValue(public, [PyKCS11.CKA_EC_POINT])[0])
    # OCTET STRING, 65 bytes, uncompressed.
    assert point[:3] == b"\x04\x41\x04" and len(point) == 67
    theirs = peer(point[3:].hex(), mode=1)
    signature = bytes(session.sign(private, MESSAGE, Mechanism(CKM_SM2_SM3)))
    assert len(signature) == 64 and theirs.verify_with_sm3(signature.hex(), MESSAGE)
    assert not theirs.verify_with_sm3(signature.hex(), MESSAGE + b"!")
    sealed = b"\x04" + theirs.encrypt(MESSAGE)
    assert bytes(session.decrypt(private, sealed, Mechanism(CKM_SM2_ENCRYPT))) == MESSAGE


def is_convinced(session):
    """The other way round, with a pair that gmssl holds."""
    private = "%064x" % (int.from_bytes(os.urandom(31), "big") + 1)
    theirs = peer("", private, mode=1)
    theirs.public_key = theirs._kg(int(private, 16), theirs.ecc_table["g"])
    point = b"\x04\x41\x04" + bytes.fromhex(theirs.public_key)
    public = session.createObject(
        made(
            CKO_PUBLIC_KEY,
            CKK_SM2,
            (PyKCS11.CKA_EC_PARAMS, CURVE),
            (PyKCS11.CKA_EC_POINT, point),
            (PyKCS11.CKA_VERIFY, PyKCS11.CK_TRUE),
            (PyKCS11.CKA_ENCRYPT, PyKCS11.CK_TRUE),
        )
    )
    signature = bytes.fromhex(theirs.sign_with_sm3(MESSAGE))
    assert session.verify(public, MESSAGE, signature, Mechanism(CKM_SM2_SM3))
    assert not session.verify(public, MESSAGE + b"!", signature, Mechanism(CKM_SM2_SM3))
    sealed = bytes(session.encrypt(public, MESSAGE, Mechanism(CKM_SM2_ENCRYPT)))
    assert sealed[0] == 4 and theirs.decrypt(sealed[1:]) == MESSAGE


def main():
    module, label, pin = sys.argv[1:]
    library = PyKCS11.PyKCS11Lib()
    library.load(module)
    slots = library.getSlotList(tokenPresent=True)
    (slot,) = [slot for slot in slots if library.getTokenInfo(slot).label.strip() == label]
    session = library.openSession(slot, PyKCS11.CKF_SERIAL_SESSION | PyKCS11.CKF_RW_SESSION)
    session.login(pin)
    hashes(session)
    encrypts(session)
    for _ in range(4):
        signs(session)
        is_convinced(session)
    session.logout()
    session.closeSession()
    print("gmssl is content")


main()
