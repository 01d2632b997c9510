"""What programs do with a token by way of python-pkcs11: MODULE TOKEN PIN, with the key pairs `rsa1` and `ec1` in it."""

import hashlib
import os
import sys
import threading

import pkcs11
from asn1crypto.core import ObjectIdentifier
from pkcs11 import KDF, MGF, Attribute, KeyType, Mechanism, MechanismFlag, ObjectClass
from pkcs11.util.ec import encode_named_curve_parameters

MESSAGE = b"what Python signs in the token"
PSS = (Mechanism.SHA256, MGF.SHA256, 32)
OPEN = {Attribute.SENSITIVE: False, Attribute.EXTRACTABLE: True}


def refused(error, action):
    """Asks for an exception of this type."""
    try:
        action()
    except error:
        return
    raise AssertionError(f"{error.__name__} was not raised")


def signs(session):
    for label in ("rsa1", "ec1"):
        private = session.get_key(label=label, object_class=ObjectClass.PRIVATE_KEY)
        public = session.get_key(label=label, object_class=ObjectClass.PUBLIC_KEY)
        ways = [(Mechanism.SHA256_RSA_PKCS, None), (Mechanism.SHA256_RSA_PKCS_PSS, PSS)]
        if label == "ec1":
            ways = [(Mechanism.ECDSA_SHA256, None), (Mechanism.ECDSA_SHA384, None)]
        for mechanism, parameter in ways:
            signature = private.sign(MESSAGE, mechanism=mechanism, mechanism_param=parameter)
            assert public.verify(MESSAGE, signature, mechanism=mechanism, mechanism_param=parameter)
            assert not public.verify(MESSAGE + b"!", signature, mechanism=mechanism, mechanism_param=parameter)


def generates(session):
    public, private = session.generate_keypair(KeyType.RSA, 2048, label="made", store=True)
    assert private.decrypt(public.encrypt(MESSAGE)) == MESSAGE
    assert private[Attribute.SENSITIVE] and not private[Attribute.EXTRACTABLE]
    refused(pkcs11.exceptions.AttributeSensitive, lambda: private[Attribute.PRIVATE_EXPONENT])
    for curve in ("secp256r1", "secp384r1", "secp521r1"):
        parameters = {Attribute.EC_PARAMS: encode_named_curve_parameters(curve)}
        domain = session.create_domain_parameters(KeyType.EC, parameters, local=True)
        ours, theirs = (domain.generate_keypair(capabilities=MechanismFlag.DERIVE) for _ in range(2))
        secrets = [
            one[1].derive_key(KeyType.AES, 256, mechanism_param=(KDF.NULL, None, other[0][Attribute.EC_POINT]), template=OPEN)
            for one, other in ((ours, theirs), (theirs, ours))
        ]
        assert secrets[0][Attribute.VALUE] == secrets[1][Attribute.VALUE], curve
    domain = session.create_domain_parameters(
        KeyType.EC_EDWARDS, {Attribute.EC_PARAMS: ObjectIdentifier("1.3.101.112").dump()}, local=True
    )
    public, private = domain.generate_keypair(mechanism=Mechanism.EC_EDWARDS_KEY_PAIR_GEN)
    assert public.verify(MESSAGE, private.sign(MESSAGE, mechanism=Mechanism.EDDSA), mechanism=Mechanism.EDDSA)


def secrets(session):
    key = session.generate_key(KeyType.AES, 256, label="aes", store=True)
    iv = session.generate_random(128)
    assert key.decrypt(key.encrypt(MESSAGE, mechanism_param=iv), mechanism_param=iv) == MESSAGE
    gcm = {"mechanism": Mechanism.AES_GCM, "mechanism_param": pkcs11.GCMParams(bytes(12), b"aad", 128)}
    sealed = key.encrypt(MESSAGE, **gcm)
    assert key.decrypt(sealed, **gcm) == MESSAGE
    changed = bytes([sealed[0] ^ 1]) + sealed[1:]
    refused(pkcs11.exceptions.PKCS11Error, lambda: key.decrypt(changed, **gcm))
    mac = session.generate_key(KeyType.GENERIC_SECRET, 256, capabilities=MechanismFlag.SIGN | MechanismFlag.VERIFY)
    assert mac.verify(MESSAGE, mac.sign(MESSAGE, mechanism=Mechanism.SHA256_HMAC), mechanism=Mechanism.SHA256_HMAC)
    inner = session.generate_key(KeyType.AES, 128, template=OPEN)
    wrapped = key.wrap_key(inner, mechanism=Mechanism.AES_KEY_WRAP)
    again = key.unwrap_key(ObjectClass.SECRET_KEY, KeyType.AES, wrapped, mechanism=Mechanism.AES_KEY_WRAP, template=OPEN)
    assert again[Attribute.VALUE] == inner[Attribute.VALUE]
    assert session.digest(MESSAGE, mechanism=Mechanism.SHA256) == hashlib.sha256(MESSAGE).digest()


def finds(session):
    session.create_object({Attribute.CLASS: ObjectClass.DATA, Attribute.LABEL: "note", Attribute.VALUE: b"kept", Attribute.TOKEN: True})
    (note,) = session.get_objects({Attribute.LABEL: "note"})
    assert note[Attribute.VALUE] == b"kept"
    note.destroy()
    refused(pkcs11.exceptions.NoSuchKey, lambda: session.get_key(label="nobody"))
    labels = {(found.object_class, found.label) for found in session.get_objects()}
    assert (ObjectClass.PRIVATE_KEY, "rsa1") in labels and (ObjectClass.SECRET_KEY, "aes") in labels, labels


def threads(token):
    """Ten threads, each with a session of its own and 4 MiB in pieces."""
    big, piece, iv = os.urandom(4 << 20), 1 << 16, bytes(16)
    failures = []

    def pieces(data):
        return (data[at : at + piece] for at in range(0, len(data), piece))

    def work():
        try:
            with token.open() as session:
                key = session.get_key(label="aes", object_class=ObjectClass.SECRET_KEY)
                sealed = b"".join(key.encrypt(pieces(big), mechanism_param=iv, buffer_size=2 * piece))
                assert b"".join(key.decrypt(pieces(sealed), mechanism_param=iv, buffer_size=2 * piece)) == big
                signs(session)
        except BaseException as failure:  # noqa: BLE001 (a thread's own end is nobody's otherwise)
            failures.append(repr(failure))

    all_of_them = [threading.Thread(target=work) for _ in range(10)]
    for one in all_of_them:
        one.start()
    for one in all_of_them:
        one.join()
    assert not failures, failures


def main():
    module, label, pin = sys.argv[1:]
    token = pkcs11.lib(module).get_token(token_label=label)
    refused(pkcs11.exceptions.PinIncorrect, lambda: token.open(user_pin="wrong-pin"))
    with token.open(rw=True, user_pin=pin) as session:
        signs(session)
        generates(session)
        secrets(session)
        finds(session)
        threads(token)
    print("python-pkcs11 is content")


main()
