/*
 * KMSS: the C interface.
 *
 * One rule for all functions: what is not `void` returns a `kmss_status`; KMSS_OK is 0. On any other status
 * `kmss_last_error` gives the sentence of the calling thread's last failure.
 *
 * Handles are opaque numbers in the form of pointers, never dereferenced; a stale or foreign handle is answered with
 * KMSS_INVALID_HANDLE. Each handle is freed by the function its maker names. All functions may be called from any thread.
 *
 * Output buffers follow the two-call pattern: pass a buffer and its size in `*len`; `*len` becomes the size that was
 * written, or the size that is needed together with KMSS_BUFFER_TOO_SMALL. A NULL buffer asks for the size (KMSS_OK).
 *
 * After fork() the child may go on with its handles.
 */

#ifndef KMSS_H
#define KMSS_H

#include <stddef.h>
#include <stdint.h>

/**
 * What became of a call. Codes come in ranges: 1–99 correct the call, 100–199 authenticate or ask for permission,
 * 200–299 look again at what exists, 300–399 call an operator, 900 a bug of KMSS. New codes may be added to a range.
 */
typedef enum {
    KMSS_OK = 0,
    KMSS_INVALID_ARGUMENT = 1,
    KMSS_INVALID_HANDLE = 2,
    KMSS_BUFFER_TOO_SMALL = 3,
    KMSS_UNSUPPORTED = 4,
    KMSS_KEY_MISMATCH = 5,
    KMSS_INVALID_DATA = 6,
    KMSS_SIGNATURE_INVALID = 7,
    KMSS_NOT_LOGGED_IN = 100,
    KMSS_PIN_INCORRECT = 101,
    KMSS_PIN_LOCKED = 102,
    KMSS_PIN_NOT_SET = 103,
    KMSS_DENIED = 104,
    KMSS_KEY_STATE = 105,
    KMSS_QUOTA_EXCEEDED = 106,
    KMSS_NOT_FOUND = 200,
    KMSS_CONFLICT = 201,
    KMSS_BUSY = 202,
    KMSS_CONFIG = 300,
    KMSS_STORAGE = 301,
    KMSS_DAMAGED = 302,
    KMSS_AUDIT_UNAVAILABLE = 303,
    KMSS_BACKEND_UNAVAILABLE = 304,
    KMSS_INTERNAL = 900,
} kmss_status;

/**
 * An open home. Freed by `kmss_close`.
 */
typedef struct kmss kmss;

/**
 * A key found in a token. Freed by `kmss_key_free`.
 */
typedef struct kmss_key kmss_key;

/**
 * A user logged in to one token. Freed by `kmss_logout`.
 */
typedef struct kmss_session kmss_session;

/**
 * Which part of a key. Plain numbers in C, so that any other value is an error and not undefined behaviour.
 */
typedef uint32_t kmss_key_class;

/**
 * A signature or MAC algorithm over the message (not over its digest). Plain numbers in C, so that any other value is an
 * error and not undefined behaviour.
 */
typedef uint32_t kmss_algorithm;

/**
 * A secret (symmetric) key.
 */
#define KMSS_KEY_SECRET 1

/**
 * The private half of a pair.
 */
#define KMSS_KEY_PRIVATE 2

/**
 * The public half of a pair.
 */
#define KMSS_KEY_PUBLIC 3

/**
 * RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017, 8.2).
 */
#define KMSS_RSA_PKCS1_SHA256 1

/**
 * RSASSA-PKCS1-v1_5 with SHA-384.
 */
#define KMSS_RSA_PKCS1_SHA384 2

/**
 * RSASSA-PKCS1-v1_5 with SHA-512.
 */
#define KMSS_RSA_PKCS1_SHA512 3

/**
 * RSASSA-PSS with SHA-256, MGF1-SHA-256 and a salt of 32 bytes (RFC 8017, 8.1).
 */
#define KMSS_RSA_PSS_SHA256 4

/**
 * RSASSA-PSS with SHA-384, MGF1-SHA-384 and a salt of 48 bytes.
 */
#define KMSS_RSA_PSS_SHA384 5

/**
 * RSASSA-PSS with SHA-512, MGF1-SHA-512 and a salt of 64 bytes.
 */
#define KMSS_RSA_PSS_SHA512 6

/**
 * ECDSA with SHA-256 (FIPS 186-5); the signature is r ‖ s.
 */
#define KMSS_ECDSA_SHA256 7

/**
 * ECDSA with SHA-384; the signature is r ‖ s.
 */
#define KMSS_ECDSA_SHA384 8

/**
 * ECDSA with SHA-512; the signature is r ‖ s.
 */
#define KMSS_ECDSA_SHA512 9

/**
 * Ed25519 (RFC 8032).
 */
#define KMSS_ED25519 10

/**
 * SM2 with SM3 and the default identity (GB/T 32918.2, GB/T 35276); the signature is r ‖ s.
 */
#define KMSS_SM2_SM3 11

/**
 * HMAC with SHA-256 (FIPS 198-1).
 */
#define KMSS_HMAC_SHA256 12

/**
 * HMAC with SHA-384.
 */
#define KMSS_HMAC_SHA384 13

/**
 * HMAC with SHA-512.
 */
#define KMSS_HMAC_SHA512 14

/**
 * HMAC with SM3.
 */
#define KMSS_HMAC_SM3 15

/**
 * AES-CMAC (SP 800-38B).
 */
#define KMSS_AES_CMAC 16

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Copies the sentence of the calling thread's last failure, NUL-terminated, into `buffer` of `*len` bytes; `*len`
 * becomes its size with the NUL. Empty where nothing failed yet.
 *
 * # Safety
 * `buffer` is NULL or points to `*len` writable bytes; `len` points to a `size_t`.
 */
kmss_status kmss_last_error(char *buffer,
                            size_t *len);

/**
 * Opens a home.
 *
 * `home` is the path of the home directory, or NULL to take it from the configuration as the PKCS#11 module does
 * (KMSS_CONF, KMSS_HOME, ~/.config/kmss/kmss.toml, /etc/kmss/kmss.toml). `*out` becomes a handle that `kmss_close` frees.
 *
 * Errors: KMSS_CONFIG, KMSS_NOT_FOUND where there is no home, KMSS_STORAGE, KMSS_DAMAGED.
 *
 * # Safety
 * `home` is NULL or a NUL-terminated string; `out` points to a writable pointer.
 */
kmss_status kmss_open(const char *home,
                      kmss **out);

/**
 * Closes a home. Sessions opened on it stay usable until they are freed. NULL is ignored.
 */
void kmss_close(kmss *home);

/**
 * Finds the key named `name` of class `class_` (KMSS_KEY_…). `*out` becomes a handle that `kmss_key_free` frees.
 *
 * Errors: KMSS_NOT_FOUND, KMSS_INVALID_ARGUMENT.
 *
 * # Safety
 * `name` is a NUL-terminated string; `out` points to a writable pointer.
 */
kmss_status kmss_find_key(kmss_session *session,
                          const char *name,
                          kmss_key_class class_,
                          kmss_key **out);

/**
 * Frees a key handle; the key itself is untouched. NULL is ignored.
 */
void kmss_key_free(kmss_key *key);

/**
 * Logs in to the token labelled `token` as its user.
 *
 * `pin` has `pin_len` bytes and need not be terminated; it is copied into memory that is wiped. `*out` becomes a handle
 * that `kmss_logout` frees.
 *
 * Errors: KMSS_NOT_FOUND, KMSS_PIN_INCORRECT, KMSS_PIN_LOCKED, KMSS_PIN_NOT_SET, KMSS_AUDIT_UNAVAILABLE.
 *
 * # Safety
 * `token` is a NUL-terminated string, `pin` points to `pin_len` bytes, `out` points to a writable pointer.
 */
kmss_status kmss_login(kmss *home,
                       const char *token,
                       const uint8_t *pin,
                       size_t pin_len,
                       kmss_session **out);

/**
 * Logs out and frees the session. Key handles found through it are of no use afterwards. NULL is ignored.
 */
void kmss_logout(kmss_session *session);

/**
 * Signs `data` (or computes a MAC) with a private or secret key.
 *
 * The signature goes to `signature` by the two-call pattern; asking for the size with a NULL buffer is free and is not
 * recorded.
 *
 * Errors: KMSS_BUFFER_TOO_SMALL, KMSS_KEY_MISMATCH, KMSS_KEY_STATE, KMSS_DENIED, KMSS_NOT_FOUND (the key was destroyed),
 * KMSS_AUDIT_UNAVAILABLE.
 *
 * # Safety
 * `data` points to `data_len` bytes; `signature` is NULL or points to `*signature_len` writable bytes; `signature_len`
 * points to a `size_t`.
 */
kmss_status kmss_sign(kmss_session *session,
                      kmss_key *key,
                      kmss_algorithm algorithm,
                      const uint8_t *data,
                      size_t data_len,
                      uint8_t *signature,
                      size_t *signature_len);

/**
 * Verifies a signature (or MAC) over `data` with a public or secret key.
 *
 * KMSS_OK: it is right. KMSS_SIGNATURE_INVALID: it is not. Anything else: it could not be checked.
 *
 * # Safety
 * `data` points to `data_len` bytes, `signature` to `signature_len` bytes.
 */
kmss_status kmss_verify(kmss_session *session,
                        kmss_key *key,
                        kmss_algorithm algorithm,
                        const uint8_t *data,
                        size_t data_len,
                        const uint8_t *signature,
                        size_t signature_len);

/**
 * The version of KMSS, for example "0.1.0". Static: never freed.
 */
const char *kmss_version(void);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* KMSS_H */
