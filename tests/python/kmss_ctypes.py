"""kmss_ctypes.py LIBRARY TOKEN KEY: the C interface from Python, without anything but ctypes."""

import ctypes
import json
import os
import sys
from ctypes import byref, c_char_p, c_size_t, c_uint32, c_uint8, c_void_p


class Pair(ctypes.Structure):
    _fields_ = [("name", c_char_p), ("value", c_char_p)]


class KmssError(Exception):
    def __init__(self, status, sentence):
        super().__init__(sentence)
        self.status = status


library = ctypes.CDLL(sys.argv[1])
library.kmss_error_message.restype = c_char_p
library.kmss_error_message.argtypes = [c_void_p]
library.kmss_error_free.argtypes = [c_void_p]
library.kmss_free.argtypes = [c_void_p]
library.kmss_version.restype = c_char_p
for name in ("kmss_close", "kmss_logout", "kmss_key_free"):
    getattr(library, name).argtypes = [c_void_p]


def call(name, *args):
    """Calls a function whose last argument is the error."""
    error = c_void_p()
    status = getattr(library, name)(*args, byref(error))
    if status != 0:
        sentence = library.kmss_error_message(error).decode()
        library.kmss_error_free(error)
        raise KmssError(status, sentence)


def taken(data, length):
    """The bytes of what the library allocated, which is freed."""
    value = ctypes.string_at(data, length.value)
    library.kmss_free(data)
    return value


def main():
    token, key_name = sys.argv[2].encode(), sys.argv[3].encode()
    pin = os.environ["KMSS_PIN"].encode()
    home, session, key = c_void_p(), c_void_p(), c_void_p()
    call("kmss_open", None, byref(home))
    call("kmss_login", home, token, pin, c_size_t(len(pin)), byref(session))
    call("kmss_find_key", session, key_name, c_uint32(1), byref(key))
    context = (Pair * 1)(Pair(b"who", b"python"))
    text, sealed, length = b"from Python", c_void_p(), c_size_t()
    call("kmss_encrypt_alloc", session, key, c_uint32(0), context, c_size_t(1), text, c_size_t(len(text)), byref(sealed), byref(length))
    ciphertext = taken(sealed, length)
    said = c_void_p()
    call("kmss_inspect", ciphertext, c_size_t(len(ciphertext)), byref(said))
    assert json.loads(ctypes.string_at(said))["format"] == "native"
    library.kmss_free(said)
    plain = c_void_p()
    call("kmss_decrypt_alloc", session, context, c_size_t(1), ciphertext, c_size_t(len(ciphertext)), byref(plain), byref(length))
    assert taken(plain, length) == text
    # By the two-call pattern, and with the wrong context.
    size = c_size_t()
    call("kmss_decrypt", session, context, c_size_t(1), ciphertext, c_size_t(len(ciphertext)), None, byref(size))
    buffer = (c_uint8 * size.value)()
    call("kmss_decrypt", session, context, c_size_t(1), ciphertext, c_size_t(len(ciphertext)), buffer, byref(size))
    assert bytes(buffer) == text
    try:
        call("kmss_decrypt", session, None, c_size_t(0), ciphertext, c_size_t(len(ciphertext)), buffer, byref(size))
        raise AssertionError("a wrong context opened it")
    except KmssError as error:
        assert error.status == 6 and "decrypt" in str(error), error
    library.kmss_key_free(key)
    library.kmss_logout(session)
    library.kmss_close(home)
    print("python holds", library.kmss_version().decode())


if __name__ == "__main__":
    main()
