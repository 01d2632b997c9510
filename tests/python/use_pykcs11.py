"""What programs do with a token by way of PyKCS11: MODULE TOKEN PIN, with the key pairs `rsa1` and `ec1` in it."""

import hashlib
import sys

import PyKCS11
from PyKCS11 import CKA_CLASS, CKA_ID, CKA_LABEL, CKA_TOKEN, CKA_VALUE, CKO_PRIVATE_KEY, CKO_PUBLIC_KEY, CKO_SECRET_KEY, Mechanism

MESSAGE = b"what Python signs in the token"


def refused(code, action):
    """Asks for this return value."""
    try:
        action()
    except PyKCS11.PyKCS11Error as error:
        assert error.value == code, error
        return
    raise AssertionError(f"0x{code:x} was not returned")


def find(session, label, of_class):
    (found,) = session.findObjects([(CKA_CLASS, of_class), (CKA_LABEL, label)])
    return found


def signs(session):
    pss = PyKCS11.RSA_PSS_Mechanism(PyKCS11.CKM_SHA256_RSA_PKCS_PSS, PyKCS11.CKM_SHA256, PyKCS11.CKG_MGF1_SHA256, 32)
    for label, mechanisms in (
        ("rsa1", [Mechanism(PyKCS11.CKM_SHA256_RSA_PKCS), pss]),
        ("ec1", [Mechanism(PyKCS11.CKM_ECDSA_SHA256)]),
    ):
        private, public = find(session, label, CKO_PRIVATE_KEY), find(session, label, CKO_PUBLIC_KEY)
        for mechanism in mechanisms:
            signature = session.sign(private, MESSAGE, mechanism)
            assert session.verify(public, MESSAGE, signature, mechanism)
            assert not session.verify(public, MESSAGE + b"!", signature, mechanism)


def encrypts(session):
    private, public = find(session, "rsa1", CKO_PRIVATE_KEY), find(session, "rsa1", CKO_PUBLIC_KEY)
    oaep = PyKCS11.RSAOAEPMechanism(PyKCS11.CKM_SHA256, PyKCS11.CKG_MGF1_SHA256)
    assert bytes(session.decrypt(private, session.encrypt(public, MESSAGE, oaep), oaep)) == MESSAGE
    template = [
        (CKA_CLASS, CKO_SECRET_KEY),
        (PyKCS11.CKA_KEY_TYPE, PyKCS11.CKK_AES),
        (PyKCS11.CKA_VALUE_LEN, 32),
        (CKA_TOKEN, PyKCS11.CK_FALSE),
    ]
    key = session.generateKey(template, Mechanism(PyKCS11.CKM_AES_KEY_GEN))
    gcm = PyKCS11.AES_GCM_Mechanism(bytes(12), b"aad", 128)
    for mechanism in (gcm, Mechanism(PyKCS11.CKM_AES_CBC_PAD, bytes(16))):
        assert bytes(session.decrypt(key, session.encrypt(key, MESSAGE, mechanism), mechanism)) == MESSAGE


def keeps(session):
    template = [(CKA_CLASS, PyKCS11.CKO_DATA), (CKA_LABEL, "note"), (CKA_VALUE, list(b"kept")), (CKA_TOKEN, PyKCS11.CK_TRUE)]
    note = session.createObject(template)
    assert bytes(session.getAttributeValue(note, [CKA_VALUE])[0]) == b"kept"
    session.setAttributeValue(note, [(CKA_LABEL, "renamed")])
    assert find(session, "renamed", PyKCS11.CKO_DATA).value() == note.value()
    session.destroyObject(note)
    for found in session.findObjects():
        assert found.to_dict()["CKA_LABEL"] is not None


def main():
    module, label, pin = sys.argv[1:]
    library = PyKCS11.PyKCS11Lib()
    library.load(module)
    assert len(library.getInfo().libraryVersion) == 2
    slots = library.getSlotList(tokenPresent=True)
    (slot,) = [slot for slot in slots if library.getTokenInfo(slot).label.strip() == label]
    assert "CKM_ECDSA" in library.getMechanismList(slot)
    assert library.getMechanismInfo(slot, "CKM_RSA_PKCS").ulMaxKeySize >= 4096
    session = library.openSession(slot, PyKCS11.CKF_SERIAL_SESSION | PyKCS11.CKF_RW_SESSION)
    refused(PyKCS11.CKR_PIN_INCORRECT, lambda: session.login("wrong-pin"))
    session.login(pin)
    signs(session)
    encrypts(session)
    keeps(session)
    assert bytes(session.digest(MESSAGE, Mechanism(PyKCS11.CKM_SHA256))) == hashlib.sha256(MESSAGE).digest()
    assert len(session.generateRandom(32)) == 32
    private = find(session, "ec1", CKO_PRIVATE_KEY)
    assert bytes(session.getAttributeValue(private, [CKA_ID])[0]) == b"\x02"
    session.logout()
    assert not session.findObjects([(CKA_CLASS, CKO_PRIVATE_KEY)]), "private keys are found without a login"
    session.closeSession()
    library.closeAllSessions(slot)
    print("PyKCS11 is content")


main()
