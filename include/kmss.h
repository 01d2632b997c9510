/**
 * @file
 * KMSS: the C interface. The manual is kmss(3), the promises are those of docs/adr/0065-the-c-abi.md.
 *
 * What is not `void` and not a text returns a `kmss_status`; KMSS_OK is 0. Every function that can fail takes a `kmss_error **`
 * last, which may be NULL. Where it is not, it becomes NULL on success, and on failure an object that says what went wrong, which
 * `kmss_error_free` frees. Nothing is kept for threads or for the process.
 *
 * Handles are opaque numbers in the form of pointers, never dereferenced; a stale or foreign handle is answered with
 * KMSS_INVALID_HANDLE. Each handle is freed by the function its maker names. All functions may be called from any thread, and
 * threads may share handles.
 *
 * Texts are NUL-terminated UTF-8; bytes come with their length in bytes. What goes in stays the caller's and is not looked at after
 * the call. Lengths are in bytes, times in milliseconds since 1970 (UTC), unless a name ends otherwise.
 *
 * Results go one of two ways. By the two-call pattern: pass a buffer and its size in `*len`; `*len` becomes the size that was
 * written, or the size that is needed together with KMSS_BUFFER_TOO_SMALL. A NULL buffer asks for the size (KMSS_OK), which uses no
 * key and is not recorded; nothing is computed before the buffer is large enough. Or, in functions whose name ends in `_alloc` and
 * in those that give out a `char *`, in memory that `kmss_free` wipes and frees; a NUL stands behind it and does not count.
 *
 * Structs of options begin with their own size: set all of them to zero, then `size` to their `sizeof`. A newer library takes
 * smaller structs, and an older one takes larger ones whose new fields are zero.
 *
 * Programs take care of signals and time themselves: a call that asks an HSM or a server may take as long as its configuration
 * says. After fork() the child may go on with its handles. No function may be called from a signal handler.
 */

#ifndef KMSS_H
#define KMSS_H

#include <stddef.h>
#include <stdint.h>

/**
 * `kmss_backup_restore`: nothing is changed, only told what would be.
 */
#define KMSS_RESTORE_DRY_RUN 1

/**
 * Most items of a batch.
 */
#define KMSS_BATCH_ITEMS 256

/**
 * Most bytes of `data` and `signature` of all items of a batch together.
 */
#define KMSS_BATCH_BYTES 67108864

/**
 * Length of the id of a user key in bytes.
 */
#define KMSS_USER_KEY_ID_LEN 16

/**
 * The key may be wrapped by others, and so leave.
 */
#define KMSS_KEY_EXTRACTABLE 1

/**
 * The key waits for being activated.
 */
#define KMSS_KEY_PRE_ACTIVE 2

/**
 * The key lives in this process alone, until its last handle is freed. It needs no name.
 */
#define KMSS_KEY_SESSION 4

/**
 * AES-256-GCM encrypts the chunks of a sealed file.
 */
#define KMSS_FILE_AES_256_GCM 0

/**
 * ChaCha20-Poly1305 encrypts the chunks of a sealed file.
 */
#define KMSS_FILE_CHACHA20_POLY1305 1

/**
 * The wrapping key stays, for other keys that were wrapped under it.
 */
#define KMSS_IMPORT_KEEP 1

/**
 * What is signed is any bytes, not claims.
 */
#define KMSS_JWS_PAYLOAD 1

/**
 * Claims may hold for ever.
 */
#define KMSS_JWS_ENDLESS 2

/**
 * No moment: `kmss_key_schedule`, `kmss_key_rotate`.
 */
#define KMSS_NEVER UINT64_MAX

/**
 * Most random bytes of one call.
 */
#define KMSS_RANDOM_MAX 1048576

/**
 * How many bytes a ciphertext is longer than its plaintext.
 */
#define KMSS_MESSAGE_OVERHEAD 90

/**
 * Longest plaintext of one message in bytes. What is longer is encrypted under a data key, or sealed as a file.
 */
#define KMSS_MESSAGE_MAX 65536

/**
 * The policy decides nothing: where it would decide otherwise, the audit says so.
 */
#define KMSS_POLICY_SHADOW 1

/**
 * `uses` and `bytes` are bounds as well: what goes beyond them is refused until the key is rotated.
 */
#define KMSS_ROTATION_STRICT 1

/**
 * `kmss_rotate_due`: nothing is changed, only told what would be.
 */
#define KMSS_ROTATE_DRY_RUN 1

/**
 * Keys that a service makes belong to it: said for all of a token or tenant.
 */
#define KMSS_RULE_APART 1

/**
 * `kmss_key_grant`: the service uses the key no more.
 */
#define KMSS_GRANT_WITHDRAW 1

/**
 * `data` is the digest that the algorithm is named with (of SM2 the value e), not the message.
 */
#define KMSS_SIGN_DIGEST 1

/**
 * The signature is DER (SEQUENCE of r and s; RFC 3279, GM/T 0009), not r ‖ s: with ECDSA and SM2.
 */
#define KMSS_SIGN_DER 2

/**
 * Random tokens, which the vault keeps, instead of computed ones.
 */
#define KMSS_TOKEN_VAULT 1

/**
 * `kmss_detokenize`: most of the value is hidden, as its format says; a permission of its own.
 */
#define KMSS_TOKEN_MASKED 2

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
    KMSS_ALREADY_EXISTS = 203,
    KMSS_CONFIG = 300,
    KMSS_STORAGE = 301,
    KMSS_DAMAGED = 302,
    KMSS_AUDIT_UNAVAILABLE = 303,
    KMSS_BACKEND_UNAVAILABLE = 304,
    KMSS_MEMORY = 305,
    KMSS_INTERNAL = 900,
} kmss_status;

/**
 * An open home. Freed by `kmss_close`.
 */
typedef struct kmss kmss;

/**
 * Why a call failed. Made by the call that failed, freed by `kmss_error_free`.
 */
typedef struct kmss_error kmss_error;

/**
 * A key found in a token, or a session key. Freed by `kmss_key_free`.
 */
typedef struct kmss_key kmss_key;

/**
 * A user, or the security officer, logged in to one token. Freed by `kmss_logout`.
 */
typedef struct kmss_session kmss_session;

/**
 * Which records are wanted; what is NULL or 0 does not matter. Set all of it to zero, then `size` to `sizeof(kmss_audit_filter)`.
 */
typedef struct {
    /**
     * Size of this struct in bytes.
     */
    size_t size;
    /**
     * The word of the action (`sign`).
     */
    const char *action;
    /**
     * Name or id of the key.
     */
    const char *key;
    /**
     * Who asked.
     */
    const char *principal;
    /**
     * The outcome's word (`denied`).
     */
    const char *outcome;
    /**
     * The token, as `token` or `tenant/token`.
     */
    const char *token;
    /**
     * From this time on, in milliseconds since 1970.
     */
    uint64_t since_ms;
    /**
     * Before this time, in milliseconds since 1970.
     */
    uint64_t until_ms;
} kmss_audit_filter;

/**
 * Takes one record: its JSON as it stands in the trail (docs/audit.md), `len` bytes without a NUL, valid during the call, and the
 * name of its segment. Returns 0 to go on; anything else ends the export, which succeeds. Must not call into this library with the
 * same home, and must return: no exception and no `longjmp`.
 */
typedef int (*kmss_audit_record)(void *user, const char *record, size_t len, const char *segment);

/**
 * How an archive is restored. Set all of it to zero, then `size` to `sizeof(kmss_restore_options)`.
 */
typedef struct {
    /**
     * Size of this struct in bytes.
     */
    size_t size;
    /**
     * KMSS_RESTORE_…, or-ed together.
     */
    uint32_t flags;
    /**
     * An archive of a lower epoch is refused, whatever the home knows; 0 for whatever the home knows.
     */
    uint64_t least_epoch;
} kmss_restore_options;

/**
 * What is done with an item of a batch. Plain numbers in C, so that any other value is an error and not undefined behaviour.
 */
typedef uint32_t kmss_batch_action;

/**
 * What is said of a signature beside its algorithm. Set all of it to zero, then `size` to `sizeof(kmss_sign_options)`.
 */
typedef struct {
    /**
     * Size of this struct in bytes.
     */
    size_t size;
    /**
     * KMSS_SIGN_…, or-ed together.
     */
    uint32_t flags;
    /**
     * SM2 of a message: the signer's identity; NULL for the usual one, `1234567812345678`.
     */
    const uint8_t *user_id;
    /**
     * Its length in bytes.
     */
    size_t user_id_len;
    /**
     * Ed25519ctx, Ed448, ML-DSA and SLH-DSA: the context, at most 255 bytes; NULL for none.
     */
    const uint8_t *context;
    /**
     * Its length in bytes.
     */
    size_t context_len;
} kmss_sign_options;

/**
 * A name and a value. Both are NUL-terminated UTF-8 and stay the caller's.
 */
typedef struct {
    /**
     * The name.
     */
    const char *name;
    /**
     * The value.
     */
    const char *value;
} kmss_pair;

/**
 * One of several uses of keys. Set all of it to zero, then `size` to `sizeof(kmss_batch_item)`, in each item of an array.
 */
typedef struct {
    /**
     * Size of this struct in bytes: the same in all items, which stand so far apart.
     */
    size_t size;
    /**
     * What is done (KMSS_BATCH_…).
     */
    kmss_batch_action action;
    /**
     * How, in the numbers that go with the action.
     */
    uint32_t algorithm;
    /**
     * The key.
     */
    kmss_key *key;
    /**
     * Signing and verifying: what is said beside the algorithm, or NULL.
     */
    const kmss_sign_options *sign_options;
    /**
     * Encrypting and decrypting: the context.
     */
    const kmss_pair *context;
    /**
     * How many pairs it has.
     */
    size_t context_len;
    /**
     * The message, its digest, or the ciphertext.
     */
    const uint8_t *data;
    /**
     * Its length in bytes.
     */
    size_t data_len;
    /**
     * Verifying: the signature or MAC.
     */
    const uint8_t *signature;
    /**
     * Its length in bytes.
     */
    size_t signature_len;
} kmss_batch_item;

/**
 * What came of an item. This struct has no size of its own, and stays as it is.
 */
typedef struct {
    /**
     * What the call for this item alone would have returned.
     */
    kmss_status status;
    /**
     * Why it failed, which `kmss_error_free` frees; NULL where it did not.
     */
    kmss_error *error;
    /**
     * The signature, MAC, ciphertext or plaintext, which `kmss_free` wipes and frees; NULL where there is none.
     */
    uint8_t *out;
    /**
     * Its length in bytes.
     */
    size_t out_len;
} kmss_batch_result;

/**
 * What a user key is for. Plain numbers in C, so that any other value is an error and not undefined behaviour.
 */
typedef uint32_t kmss_user_key_kind;

/**
 * What encrypts a message. Plain numbers in C, so that any other value is an error and not undefined behaviour.
 */
typedef uint32_t kmss_message_algorithm;

/**
 * A key-derivation function. Plain numbers in C, so that any other value is an error and not undefined behaviour.
 */
typedef uint32_t kmss_derivation;

/**
 * A hash function. Plain numbers in C, so that any other value is an error and not undefined behaviour.
 */
typedef uint32_t kmss_hash_algorithm;

/**
 * What goes into a derivation. Set all of it to zero, then `size` to `sizeof(kmss_derive_options)`.
 */
typedef struct {
    /**
     * Size of this struct in bytes.
     */
    size_t size;
    /**
     * The hash function; 0 for SHA-256.
     */
    kmss_hash_algorithm hash;
    /**
     * The salt of HKDF; NULL for zeros.
     */
    const uint8_t *salt;
    /**
     * Its length in bytes.
     */
    size_t salt_len;
    /**
     * The info.
     */
    const uint8_t *info;
    /**
     * Its length in bytes.
     */
    size_t info_len;
    /**
     * ECDH: the other side's public point (uncompressed SEC 1, or the bytes of RFC 7748).
     */
    const uint8_t *public_key;
    /**
     * Its length in bytes.
     */
    size_t public_key_len;
} kmss_derive_options;

/**
 * What is said of a new key. Set all of it to zero, then `size` to `sizeof(kmss_key_options)`.
 */
typedef struct {
    /**
     * Size of this struct in bytes.
     */
    size_t size;
    /**
     * KMSS_KEY_EXTRACTABLE and so on, or-ed together.
     */
    uint32_t flags;
    /**
     * The CKA_ID that PKCS#11 programs see; NULL for the first 8 bytes of the key's identity.
     */
    const uint8_t *id;
    /**
     * Its length in bytes.
     */
    size_t id_len;
    /**
     * The name of the HSM or of the group of HSMs that makes and keeps the key, `soft` for the software engine; NULL for what makes the
     * keys of the token. What is made of another key is where that one is: any other name is KMSS_UNSUPPORTED then.
     */
    const char *backend;
} kmss_key_options;

/**
 * For whom a file is sealed. Set all of it to zero, then `size` to `sizeof(kmss_seal_options)`.
 */
typedef struct {
    /**
     * Size of this struct in bytes.
     */
    size_t size;
    /**
     * The keys that open it, any one of them: secret keys, 1 to 32.
     */
    kmss_key *const *keys;
    /**
     * How many they are.
     */
    size_t keys_len;
    /**
     * What encrypts the chunks (KMSS_FILE_…).
     */
    uint32_t algorithm;
    /**
     * The encryption context, as for `kmss_encrypt`.
     */
    const kmss_pair *context;
    /**
     * How many pairs it has.
     */
    size_t context_len;
} kmss_seal_options;

/**
 * How a key was wrapped. Set all of it to zero, then `size` to `sizeof(kmss_import_options)`.
 */
typedef struct {
    /**
     * Size of this struct in bytes.
     */
    size_t size;
    /**
     * KMSS_IMPORT_…, or-ed together.
     */
    uint32_t flags;
    /**
     * Under RSA: the hash of OAEP and of its MGF1; 0 for SHA-256.
     */
    kmss_hash_algorithm hash;
    /**
     * Under RSA: bits of the AES key between (128, 192, 256); 0 for 256.
     */
    uint32_t aes_bits;
} kmss_import_options;

/**
 * How a token is signed, or must have been signed. Set all of it to zero, then `size` to `sizeof(kmss_jws_options)`.
 */
typedef struct {
    /**
     * Size of this struct in bytes.
     */
    size_t size;
    /**
     * KMSS_JWS_…, or-ed together.
     */
    uint32_t flags;
    /**
     * Verifying: by how many seconds clocks may differ, at most 600.
     */
    uint32_t leeway_s;
    /**
     * Signing claims: they hold for so many seconds from now on (`exp` is added); 0 where they say themselves until when.
     */
    uint64_t lifetime_s;
    /**
     * The algorithm (`PS256`, `RS256`, `ES256`, …) where a key has a choice; NULL for what is usual: PS256 with RSA keys.
     */
    const char *algorithm;
    /**
     * The type in the header (`typ`); NULL for `JWT` with claims, and for none with other payloads.
     */
    const char *type_;
    /**
     * Verifying claims: who must have made them (`iss`); NULL for anybody.
     */
    const char *issuer;
    /**
     * Verifying claims: whom they must be for (`aud`); with NULL claims that name anybody are refused.
     */
    const char *audience;
} kmss_jws_options;

/**
 * Which part of a key. Plain numbers in C, so that any other value is an error and not undefined behaviour.
 */
typedef uint32_t kmss_key_class;

/**
 * A change in the life of a key. Plain numbers in C, so that any other value is an error and not undefined behaviour.
 */
typedef uint32_t kmss_life_change;

/**
 * What is said of a change. Set all of it to zero, then `size` to `sizeof(kmss_life_options)`.
 */
typedef struct {
    /**
     * Size of this struct in bytes.
     */
    size_t size;
    /**
     * KMSS_LIFE_SCHEDULE_DELETION: days, 7 to 30; 0 for 30.
     */
    uint32_t days;
    /**
     * KMSS_LIFE_REVOKE: the reason in the words of RFC 5280 (`superseded`, `cessation-of-operation`, …); NULL for `unspecified`.
     */
    const char *reason;
    /**
     * A sentence of why, at most 500 bytes; NULL for none.
     */
    const char *why;
} kmss_life_options;

/**
 * What is said of a key. Set all of it to zero, then `size` to `sizeof(kmss_key_metadata)`. What is NULL stays as it is.
 */
typedef struct {
    /**
     * Size of this struct in bytes.
     */
    size_t size;
    /**
     * Whose it is, at most 128 bytes; empty for nobody's.
     */
    const char *owner;
    /**
     * What it is for, in a sentence of at most 1000 bytes.
     */
    const char *description;
    /**
     * The one thing that it may be used for: `sign`, `encrypt`, `wrap`, `derive` or `encapsulate`; `any` for whatever its
     * attributes allow.
     */
    const char *purpose;
    /**
     * The service that it belongs to; empty for none.
     */
    const char *service;
} kmss_key_metadata;

/**
 * A MAC. Plain numbers in C, so that any other value is an error and not undefined behaviour.
 */
typedef uint32_t kmss_mac_algorithm;

/**
 * State of a key (NIST SP 800-57 part 1, section 7). Plain numbers in C: a newer KMSS may know more.
 */
typedef uint32_t kmss_key_state;

/**
 * What is known of a key in numbers. Set `size` to `sizeof(kmss_key_info)`; what a newer KMSS adds stands behind.
 */
typedef struct {
    /**
     * Size of this struct in bytes.
     */
    size_t size;
    /**
     * The part of the key (KMSS_KEY_…).
     */
    kmss_key_class class_;
    /**
     * The state that it is in now (KMSS_STATE_…).
     */
    kmss_key_state state;
    /**
     * The version of its name that it is, from 1 on.
     */
    uint32_t version;
    /**
     * Modulus or field size, or length of a secret, in bits.
     */
    uint32_t bits;
    /**
     * When it was made, in milliseconds since 1970.
     */
    uint64_t created_ms;
    /**
     * Its identity, as ciphertexts and the audit name it.
     */
    uint8_t id[16];
} kmss_key_info;

/**
 * Which keys are listed. Set all of it to zero, then `size` to `sizeof(kmss_list_options)`.
 */
typedef struct {
    /**
     * Size of this struct in bytes.
     */
    size_t size;
    /**
     * The part of keys (KMSS_KEY_…); 0 for all parts, each half of a pair by itself.
     */
    kmss_key_class class_;
    /**
     * Most keys of a page, 1 to 1000; 0 for 100.
     */
    uint32_t limit;
    /**
     * `next` of the page before; NULL for the first page.
     */
    const char *after;
    /**
     * Whose they are; NULL for anybody's.
     */
    const char *owner;
    /**
     * What they are for (`sign`, `encrypt`, `wrap`, `derive`, `encapsulate`); NULL for anything.
     */
    const char *purpose;
    /**
     * A tag that they have; NULL for any.
     */
    const char *tag;
} kmss_list_options;

/**
 * When a key is rotated by itself: by whatever of it comes first. Set all of it to zero, then `size` to
 * `sizeof(kmss_rotation)`; what is 0 does not count.
 */
typedef struct {
    /**
     * Size of this struct in bytes.
     */
    size_t size;
    /**
     * KMSS_ROTATION_…, or-ed together.
     */
    uint32_t flags;
    /**
     * So many days after a version took the name, at most 36500.
     */
    uint32_t days;
    /**
     * After so many uses that protect something.
     */
    uint64_t uses;
    /**
     * After so many bytes of data in such uses.
     */
    uint64_t bytes;
} kmss_rotation;

/**
 * A rule on what may be made. Set all of it to zero, then `size` to `sizeof(kmss_rule)`; what is NULL and 0 is free.
 */
typedef struct {
    /**
     * Size of this struct in bytes.
     */
    size_t size;
    /**
     * KMSS_RULE_…, or-ed together.
     */
    uint32_t flags;
    /**
     * New keys rotate after so many days by themselves, and none more seldom.
     */
    uint32_t rotation_days;
    /**
     * The types that may be made, with their least sizes where those are bounded: `rsa:3072`, `ec:384`, `aes`.
     */
    const char *const *types;
    /**
     * How many they are; with 0 all may be made.
     */
    size_t types_len;
    /**
     * The type that the command makes where none is said, as for `kmss_key_generate`.
     */
    const char *preferred;
    /**
     * Who owns the service, `kind:name`: whoever is called so sets its rule and grants its keys, too.
     */
    const char *owner;
} kmss_rule;

/**
 * A signature algorithm. Plain numbers in C, so that any other value is an error and not undefined behaviour.
 */
typedef uint32_t kmss_algorithm;

/**
 * What values and tokens look like. Set all of it to zero, then `size` to `sizeof(kmss_token_options)`.
 */
typedef struct {
    /**
     * Size of this struct in bytes.
     */
    size_t size;
    /**
     * KMSS_TOKEN_…, or-ed together.
     */
    uint32_t flags;
    /**
     * The format: `card`, `card-bin`, `id-number`, `mobile`, `account`, `date`, `email`, `digits(first=2)`, …
     */
    const char *format;
    /**
     * Computed tokens: what tells uses of one key apart, at most 256 bytes; NULL for nothing.
     */
    const uint8_t *tweak;
    /**
     * Its length in bytes.
     */
    size_t tweak_len;
    /**
     * Random tokens: for how many seconds the token stands for the value; 0 for ever.
     */
    uint64_t expires_s;
    /**
     * Computed tokens: the version that the key is to be, which is the one that its handle stands for; 0: not said. A key that was
     * rotated is refused without it, except by a handle of a former version: tokens do not say which version made them, and any
     * other gives a value that is wrong and looks right.
     */
    uint32_t key_version;
} kmss_token_options;

/**
 * How keys are wrapped. Plain numbers in C, so that any other value is an error and not undefined behaviour.
 */
typedef uint32_t kmss_wrapping;

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
 * ECDSA with SHA-256 (FIPS 186-5); the signature is r ‖ s, or DER.
 */
#define KMSS_ECDSA_SHA256 7

/**
 * ECDSA with SHA-384; the signature is r ‖ s, or DER.
 */
#define KMSS_ECDSA_SHA384 8

/**
 * ECDSA with SHA-512; the signature is r ‖ s, or DER.
 */
#define KMSS_ECDSA_SHA512 9

/**
 * Ed25519 or Ed448, as the key is (RFC 8032).
 */
#define KMSS_EDDSA 10

/**
 * SM2 with SM3 (GB/T 32918.2, GB/T 35276); the signature is r ‖ s, or DER.
 */
#define KMSS_SM2_SM3 11

/**
 * ML-DSA of the key's set (FIPS 204), of the message itself.
 */
#define KMSS_ML_DSA 12

/**
 * SLH-DSA of the key's set (FIPS 205), of the message itself.
 */
#define KMSS_SLH_DSA 13

/**
 * ECDSA on secp256k1 with SHA-256 and the lower s, as ledgers take it; the signature is r ‖ s, or DER.
 */
#define KMSS_ECDSA_LOW_S_SHA256 14

/**
 * The same over Keccak-256, the function from before FIPS 202.
 */
#define KMSS_ECDSA_LOW_S_KECCAK256 15

/**
 * ECDSA on secp256k1 with SHA-256 and the lower s; the signature is r ‖ s ‖ v of 65 bytes, where v (0 to 3) tells the public key.
 */
#define KMSS_ECDSA_RECOVERABLE_SHA256 16

/**
 * The same over Keccak-256.
 */
#define KMSS_ECDSA_RECOVERABLE_KECCAK256 17

/**
 * Signs `data`, as `kmss_sign`; `algorithm` is a `kmss_algorithm`.
 */
#define KMSS_BATCH_SIGN 1

/**
 * Verifies `signature` of `data`, as `kmss_verify`.
 */
#define KMSS_BATCH_VERIFY 2

/**
 * Computes the MAC of `data`, as `kmss_mac`; `algorithm` is a `kmss_mac_algorithm`.
 */
#define KMSS_BATCH_MAC 3

/**
 * Checks the MAC `signature` of `data`, as `kmss_verify_mac`.
 */
#define KMSS_BATCH_VERIFY_MAC 4

/**
 * Encrypts the message `data`, as `kmss_encrypt`; `algorithm` is a `kmss_message_algorithm`.
 */
#define KMSS_BATCH_ENCRYPT 5

/**
 * Decrypts the message `data`, as `kmss_decrypt`; `key` and `algorithm` are NULL and 0, since the message names its key.
 */
#define KMSS_BATCH_DECRYPT 6

/**
 * Encrypting by SM4-CBC.
 */
#define KMSS_USER_KEY_SM4 1

/**
 * MACs by HMAC with SM3.
 */
#define KMSS_USER_KEY_HMAC_SM3 2

/**
 * MACs by HMAC with SHA-256.
 */
#define KMSS_USER_KEY_HMAC_SHA256 3

/**
 * HKDF (RFC 5869), extract and expand, with `salt` and `info`.
 */
#define KMSS_DERIVE_HKDF 1

/**
 * SP 800-108 in counter mode with HMAC: a counter of 32 bits in front of `info`, which is label, zero byte and context.
 */
#define KMSS_DERIVE_KBKDF_COUNTER 2

/**
 * ECDH (SP 800-56A, RFC 7748) with `public_key`, and the X9.63 KDF with `info`.
 */
#define KMSS_DERIVE_ECDH_X963 3

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
 * It may be used (again).
 */
#define KMSS_LIFE_ENABLE 1

/**
 * It protects nothing new, and still decrypts and verifies.
 */
#define KMSS_LIFE_DISABLE 2

/**
 * It does nothing for the time being.
 */
#define KMSS_LIFE_SUSPEND 3

/**
 * It protects nothing new, for good.
 */
#define KMSS_LIFE_ARCHIVE 4

/**
 * It is known or feared to be in other hands: it protects nothing new, for good.
 */
#define KMSS_LIFE_COMPROMISE 5

/**
 * It is revoked for `reason`.
 */
#define KMSS_LIFE_REVOKE 6

/**
 * It is destroyed after `days`.
 */
#define KMSS_LIFE_SCHEDULE_DELETION 7

/**
 * It is not destroyed after all.
 */
#define KMSS_LIFE_CANCEL_DELETION 8

/**
 * HMAC with SHA-256 (FIPS 198-1): 32 bytes.
 */
#define KMSS_HMAC_SHA256 1

/**
 * HMAC with SHA-384: 48 bytes.
 */
#define KMSS_HMAC_SHA384 2

/**
 * HMAC with SHA-512: 64 bytes.
 */
#define KMSS_HMAC_SHA512 3

/**
 * HMAC with SM3: 32 bytes.
 */
#define KMSS_HMAC_SM3 4

/**
 * AES-CMAC (SP 800-38B): 16 bytes.
 */
#define KMSS_AES_CMAC 5

/**
 * SM4-CMAC: 16 bytes.
 */
#define KMSS_SM4_CMAC 6

/**
 * HMAC with SHA3-256: 32 bytes.
 */
#define KMSS_HMAC_SHA3_256 7

/**
 * HMAC with SHA3-384: 48 bytes.
 */
#define KMSS_HMAC_SHA3_384 8

/**
 * HMAC with SHA3-512: 64 bytes.
 */
#define KMSS_HMAC_SHA3_512 9

/**
 * SHA-256 (FIPS 180-4): 32 bytes.
 */
#define KMSS_SHA256 1

/**
 * SHA-384: 48 bytes.
 */
#define KMSS_SHA384 2

/**
 * SHA-512: 64 bytes.
 */
#define KMSS_SHA512 3

/**
 * SM3 (GB/T 32905): 32 bytes.
 */
#define KMSS_SM3 4

/**
 * SHA3-256 (FIPS 202): 32 bytes.
 */
#define KMSS_SHA3_256 5

/**
 * SHA3-384: 48 bytes.
 */
#define KMSS_SHA3_384 6

/**
 * SHA3-512: 64 bytes.
 */
#define KMSS_SHA3_512 7

/**
 * Made, not to be used yet.
 */
#define KMSS_STATE_PRE_ACTIVE 1

/**
 * In use.
 */
#define KMSS_STATE_ACTIVE 2

/**
 * On hold: nothing at all.
 */
#define KMSS_STATE_SUSPENDED 3

/**
 * Disabled: protects nothing new, still decrypts and verifies.
 */
#define KMSS_STATE_DEACTIVATED 4

/**
 * Known or feared to be in other hands; treated as deactivated, for good.
 */
#define KMSS_STATE_COMPROMISED 5

/**
 * Waits for its destruction.
 */
#define KMSS_STATE_PENDING_DELETION 6

/**
 * Gone.
 */
#define KMSS_STATE_DESTROYED 7

/**
 * The usual one of the key's type: AES-256-GCM, SM4-GCM, or ChaCha20-Poly1305 with ChaCha20 keys.
 */
#define KMSS_MESSAGE_USUAL 0

/**
 * AES-256-GCM, with AES keys of 256 bits.
 */
#define KMSS_MESSAGE_AES_256_GCM 1

/**
 * ChaCha20-Poly1305, with AES keys of 256 bits and ChaCha20 keys.
 */
#define KMSS_MESSAGE_CHACHA20_POLY1305 2

/**
 * SM4-GCM, with SM4 keys.
 */
#define KMSS_MESSAGE_SM4_GCM 3

/**
 * AES-SIV (RFC 5297), with AES keys of 256 bits: equal plaintexts in equal contexts give equal ciphertexts, which can be searched
 * for and tell everybody that they are equal.
 */
#define KMSS_MESSAGE_DETERMINISTIC_AES_SIV 4

/**
 * Key wrap (SP 800-38F KW, RFC 3394) under an AES or SM4 key: keys whose length is a multiple of 8 bytes.
 */
#define KMSS_WRAP_KW 1

/**
 * Key wrap with padding (SP 800-38F KWP, RFC 5649) under an AES or SM4 key.
 */
#define KMSS_WRAP_KWP 2

/**
 * RSAES-OAEP with SHA-256 and MGF1-SHA-256 under an RSA key: secret keys.
 */
#define KMSS_WRAP_RSA_OAEP_SHA256 3

/**
 * A fresh AES-256 key under RSAES-OAEP with SHA-256, followed by the key under that one by KWP (PKCS#11 3.2, 6.1.21).
 */
#define KMSS_WRAP_RSA_AES_SHA256 4

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Hands every record that `filter` wants to `record`, segment by segment, with `user` as it is given; of one segment in their
 * order. `filter` may be NULL. Nothing is kept in memory.
 *
 * Whoever may read the home's audit folder may do this; no session is needed, and reading is not recorded.
 *
 * Errors: KMSS_STORAGE, KMSS_DAMAGED, KMSS_INVALID_ARGUMENT.
 *
 * # Safety
 * `filter` is NULL or points to its struct; `record` is such a function.
 */
kmss_status kmss_audit_export(kmss *home,
                              const kmss_audit_filter *filter,
                              kmss_audit_record record,
                              void *user,
                              kmss_error **error);

/**
 * Writes an archive of everything of the tenant `tenant` (NULL for the usual one, `default`) to the file `archive`, which must not
 * exist, while others go on working. Its key is split among custodians: `custodians` names them, 2 to 32, and `needed` of them open
 * the archive. For root, the home's owner and the admins of the configuration.
 *
 * `shares` has room for `custodians_len` texts: each becomes the share of the custodian in the same place, which is kept nowhere
 * else and which `kmss_free` wipes and frees. Give each to its custodian, apart from the others; without `needed` of them the archive
 * is worthless. `json` may be NULL; else `*json` says of the archive `archive` (its identity), `epoch`, `created`, `namespaces`, `items`,
 * `in_devices` and `elsewhere`, and `kmss_free` frees it.
 *
 * Errors: KMSS_DENIED, KMSS_NOT_FOUND for a tenant without tokens, KMSS_ALREADY_EXISTS for a file that is there, and for an archive
 * that was left unfinished, with `.partial` behind its name, and may be removed; KMSS_CONFLICT where tokens, policies or
 * rules were changed meanwhile, KMSS_BUSY where keys were all the time: begin anew then; KMSS_INVALID_ARGUMENT,
 * KMSS_STORAGE, KMSS_AUDIT_UNAVAILABLE. There is no archive then, and no share.
 *
 * # Safety
 * `tenant` is NULL or NUL-terminated, `archive` is NUL-terminated; `custodians` points to `custodians_len` NUL-terminated strings and
 * `shares` to as many writable pointers; `json` is NULL or points to a writable pointer.
 */
kmss_status kmss_backup_create(kmss *home,
                               const char *tenant,
                               const char *archive,
                               const char *const *custodians,
                               size_t custodians_len,
                               uint32_t needed,
                               char **shares,
                               char **json,
                               kmss_error **error);

/**
 * Says what the file `archive` says of itself, as JSON: `archive`, `tenant`, `epoch`, `created`, `suite`, `shares` and `needed`. Needs
 * no share, and proves nothing. `*json` is freed by `kmss_free`.
 *
 * Errors: KMSS_INVALID_DATA or KMSS_DAMAGED for what is no archive, KMSS_STORAGE.
 *
 * # Safety
 * `archive` is NUL-terminated; `json` points to a writable pointer.
 */
kmss_status kmss_backup_inspect(const char *archive,
                                char **json,
                                kmss_error **error);

/**
 * Reads the archive `archive` to its end with as many shares as it needs: whether it is whole, and what is in it. Needs no home.
 *
 * `json` may be NULL; else `*json` becomes `{"archive": …, "epoch": …, "holds": …}`, which `kmss_free` frees.
 *
 * Errors: KMSS_INVALID_ARGUMENT for what is no share, too few of them, or one of another archive; KMSS_DAMAGED for an archive that is
 * not whole; KMSS_STORAGE.
 *
 * # Safety
 * `archive` is NUL-terminated; `shares` points to `shares_len` NUL-terminated strings; `json` is NULL or points to a writable pointer.
 */
kmss_status kmss_backup_verify(const char *archive,
                               const char *const *shares,
                               size_t shares_len,
                               char **json,
                               kmss_error **error);

/**
 * Restores the archive `archive` into a home, with as many shares as it needs: tokens that the home does not have, each whole or not
 * at all. What the home has stays as it is, and what was destroyed, revoked or removed there since does not come back. The archive is
 * read to its end before anything is written. For root, the home's owner and the admins of the configuration. On an empty machine
 * `kmss restore` or `kmss home init` makes the home first.
 *
 * `restore_options` may be NULL. `json` may be NULL; else `*json` says what became of it, which `kmss_free` frees: `archive`, `tenant`,
 * `epoch`, `dry_run`, `namespaces` (each with its `name`, `id`, `objects` and `fate`: `restored`, `kept`, `over` or `name-taken`),
 * `rules` on what is made (each with its `scope`, what it `says`, and its `fate`: `restored`, `there`, `stands` where another rule is
 * `here` for the same and stays, or `away` where nothing of what it is for is restored),
 * `policies` (with why each is `refused`, or null), `in_devices`, `elsewhere`, and `partial`: whether something that is not there now
 * did not have to stay away.
 *
 * Errors: KMSS_DENIED, also for an archive that is older than what was restored or is allowed; KMSS_DAMAGED and KMSS_INVALID_DATA for
 * one that is not whole; KMSS_INVALID_ARGUMENT for wrong shares and for one of another suite: nothing was changed then. KMSS_CONFLICT
 * where somebody else restores the same; KMSS_STORAGE, KMSS_AUDIT_UNAVAILABLE, after which it may be begun again.
 *
 * # Safety
 * `archive` is NUL-terminated; `shares` points to `shares_len` NUL-terminated strings; `restore_options` is NULL or points to its
 * struct; `json` is NULL or points to a writable pointer.
 */
kmss_status kmss_backup_restore(kmss *home,
                                const char *archive,
                                const char *const *shares,
                                size_t shares_len,
                                const kmss_restore_options *restore_options,
                                char **json,
                                kmss_error **error);

/**
 * Says which epoch the newest archive of the tenant `tenant` (NULL for the usual one) has, 0 where there was none, and below which
 * none is restored in this home. Both outputs may be NULL.
 *
 * Errors: KMSS_STORAGE, KMSS_DAMAGED.
 *
 * # Safety
 * `tenant` is NULL or NUL-terminated; `newest` and `least` are NULL or point to writable numbers.
 */
kmss_status kmss_backup_epochs(kmss *home,
                               const char *tenant,
                               uint64_t *newest,
                               uint64_t *least,
                               kmss_error **error);

/**
 * Has this home restore no archive of the tenant `tenant` (NULL for the usual one) any more whose epoch is below `least`, which only
 * grows. For root, the home's owner and the admins of the configuration.
 *
 * Errors: KMSS_DENIED; KMSS_INVALID_ARGUMENT for an epoch that no archive had yet, other than the next; KMSS_STORAGE,
 * KMSS_AUDIT_UNAVAILABLE.
 *
 * # Safety
 * `tenant` is NULL or NUL-terminated.
 */
kmss_status kmss_backup_retire(kmss *home,
                               const char *tenant,
                               uint64_t least,
                               kmss_error **error);

/**
 * Does `items_len` things in one call, at most KMSS_BATCH_ITEMS, one after the other and in this order. Each is decided, counted and
 * recorded by itself, and one that fails is in nobody's way: `results` has room for as many results, and each says what became of the
 * item in the same place. Free their `out` and `error`.
 *
 * KMSS_OK: all was tried; look at every `status`. KMSS_INVALID_ARGUMENT for too many items or a wrong array, KMSS_INVALID_DATA for too
 * many bytes, KMSS_INVALID_HANDLE for the session: nothing was done. What is not needed for an action is NULL and 0.
 *
 * # Safety
 * `items` points to `items_len` structs, each with what its action needs as the call for that alone does; `results` points to as many
 * writable structs.
 */
kmss_status kmss_batch(kmss_session *session,
                       const kmss_batch_item *items,
                       size_t items_len,
                       kmss_batch_result *results,
                       kmss_error **error);

/**
 * Makes a user key under the business key `business`, an SM4 key with a CKA_ID of 8 bytes, for the application with the eight
 * digits `application`. It is nowhere but in what is given out: `id` takes KMSS_USER_KEY_ID_LEN bytes, `*wrapped` the wrapped key
 * as text, which `kmss_free` frees. Keep both together.
 *
 * Errors: KMSS_KEY_MISMATCH, KMSS_KEY_STATE, KMSS_DENIED, KMSS_QUOTA_EXCEEDED, KMSS_AUDIT_UNAVAILABLE.
 *
 * # Safety
 * `application` is NUL-terminated; `id` points to 16 writable bytes, `wrapped` to a writable pointer.
 */
kmss_status kmss_user_key_make(kmss_session *session,
                               kmss_key *business,
                               kmss_user_key_kind kind,
                               const char *application,
                               uint8_t *id,
                               char **wrapped,
                               kmss_error **error);

/**
 * Encrypts under a business key by SM4-CBC: in the long form for `application`, or with NULL in the short form under the vector
 * with the number `iv_number`. Nothing authenticates the ciphertext, and in the short form equal plaintexts have equal
 * ciphertexts: for compatibility alone. `*ciphertext` is text, which `kmss_free` frees.
 *
 * # Safety
 * `application` is NULL or NUL-terminated; `plaintext` points to `plaintext_len` bytes; `ciphertext` points to a writable pointer.
 */
kmss_status kmss_business_encrypt(kmss_session *session,
                                  kmss_key *business,
                                  const char *application,
                                  uint32_t iv_number,
                                  const uint8_t *plaintext,
                                  size_t plaintext_len,
                                  char **ciphertext,
                                  kmss_error **error);

/**
 * Encrypts under a user key by SM4-CBC: in the long form, which carries the user key, for `application`, or with NULL in the short
 * form. What `kmss_business_encrypt` says of its ciphertexts holds for these.
 *
 * # Safety
 * `id` points to 16 bytes; `wrapped` is NUL-terminated; the rest as `kmss_business_encrypt`.
 */
kmss_status kmss_user_encrypt(kmss_session *session,
                              const uint8_t *id,
                              const char *wrapped,
                              const char *application,
                              const uint8_t *plaintext,
                              size_t plaintext_len,
                              char **ciphertext,
                              kmss_error **error);

/**
 * Decrypts a ciphertext of any of these forms. The key is found from the ciphertext alone, but for the short form of user keys,
 * which wants `id` and `wrapped`; both may be NULL otherwise. `*plaintext` is freed by `kmss_free`.
 *
 * Errors: KMSS_INVALID_DATA, the same for everything that is wrong with a ciphertext, its key or its padding; KMSS_KEY_STATE,
 * KMSS_DENIED, KMSS_QUOTA_EXCEEDED, KMSS_AUDIT_UNAVAILABLE.
 *
 * # Safety
 * `ciphertext` points to `ciphertext_len` bytes; `id` is NULL or points to 16 bytes, `wrapped` is NULL or NUL-terminated;
 * `plaintext` and `plaintext_len` point to writable values.
 */
kmss_status kmss_compat_decrypt_alloc(kmss_session *session,
                                      const uint8_t *ciphertext,
                                      size_t ciphertext_len,
                                      const uint8_t *id,
                                      const char *wrapped,
                                      uint8_t **plaintext,
                                      size_t *plaintext_len,
                                      kmss_error **error);

/**
 * The MAC of `data` under a user key for HMAC, by the two-call pattern: 32 bytes.
 *
 * # Safety
 * `id` points to 16 bytes; `wrapped` is NUL-terminated; `data` points to `data_len` bytes; `mac` is NULL or points to `*mac_len`
 * writable bytes; `mac_len` points to a `size_t`.
 */
kmss_status kmss_user_mac(kmss_session *session,
                          const uint8_t *id,
                          const char *wrapped,
                          kmss_user_key_kind kind,
                          const uint8_t *data,
                          size_t data_len,
                          uint8_t *mac,
                          size_t *mac_len,
                          kmss_error **error);

/**
 * Makes a data key of `len` bytes, 16 to 1024 (32 is usual), encrypted under `key` with `context` as `kmss_encrypt` does it.
 *
 * `plaintext` takes the key itself and has room for `len` bytes; NULL for a data key that is to be used later or elsewhere. Wipe
 * it when it was used. `ciphertext` takes what `kmss_decrypt` makes the same key of, by the two-call pattern; it has `len` +
 * KMSS_MESSAGE_OVERHEAD bytes. Asking for the size makes no key.
 *
 * Errors: KMSS_KEY_MISMATCH, KMSS_KEY_STATE, KMSS_DENIED, KMSS_QUOTA_EXCEEDED, KMSS_AUDIT_UNAVAILABLE.
 *
 * # Safety
 * `plaintext` is NULL or points to `len` writable bytes; the rest as `kmss_encrypt`.
 */
kmss_status kmss_data_key(kmss_session *session,
                          kmss_key *key,
                          kmss_message_algorithm algorithm,
                          const kmss_pair *context,
                          size_t context_len,
                          size_t len,
                          uint8_t *plaintext,
                          uint8_t *ciphertext,
                          size_t *ciphertext_len,
                          kmss_error **error);

/**
 * As `kmss_data_key`, into memory that `kmss_free` wipes and frees; `*plaintext` has `len` bytes then. A NULL `plaintext` leaves
 * the key itself out.
 *
 * # Safety
 * `plaintext` is NULL or points to a writable pointer; `ciphertext` and `ciphertext_len` point to writable values; the rest as
 * `kmss_encrypt`.
 */
kmss_status kmss_data_key_alloc(kmss_session *session,
                                kmss_key *key,
                                kmss_message_algorithm algorithm,
                                const kmss_pair *context,
                                size_t context_len,
                                size_t len,
                                uint8_t **plaintext,
                                uint8_t **ciphertext,
                                size_t *ciphertext_len,
                                kmss_error **error);

/**
 * Makes a key pair of type `type_` (as for `kmss_key_generate`) for whoever uses its private half on its own, encrypted under
 * `key` with `context`. Nothing of it is kept here.
 *
 * `public_key` takes the public half (SubjectPublicKeyInfo, DER), `private_key` the private half (PKCS #8, DER; NULL leaves it
 * out), `ciphertext` what `kmss_decrypt` makes the private half of. All three are freed by `kmss_free`.
 *
 * Errors: as `kmss_data_key`; KMSS_UNSUPPORTED for types whose public half no standard encodes so.
 *
 * # Safety
 * `type_` is NUL-terminated; the outputs point to writable values, or are NULL in pairs where that is said; the rest as
 * `kmss_encrypt`.
 */
kmss_status kmss_data_key_pair_alloc(kmss_session *session,
                                     kmss_key *key,
                                     kmss_message_algorithm algorithm,
                                     const kmss_pair *context,
                                     size_t context_len,
                                     const char *type_,
                                     uint8_t **public_key,
                                     size_t *public_key_len,
                                     uint8_t **private_key,
                                     size_t *private_key_len,
                                     uint8_t **ciphertext,
                                     size_t *ciphertext_len,
                                     kmss_error **error);

/**
 * Derives a secret key of type `type_` (as for `kmss_key_generate`) from `base`. It is called `name` (which may be NULL with
 * KMSS_KEY_SESSION), has `key_options`, which may be NULL, and is where `base` is; `*out` becomes a handle of it that
 * `kmss_key_free` frees.
 *
 * Errors: KMSS_KEY_MISMATCH, KMSS_KEY_STATE, KMSS_DENIED, KMSS_ALREADY_EXISTS, KMSS_UNSUPPORTED, KMSS_AUDIT_UNAVAILABLE.
 *
 * # Safety
 * `derive_options` and `key_options` are NULL or point to their structs; `type_` is NUL-terminated, `name` too or NULL; `out`
 * points to a writable pointer.
 */
kmss_status kmss_derive(kmss_session *session,
                        kmss_key *base,
                        kmss_derivation derivation,
                        const kmss_derive_options *derive_options,
                        const char *type_,
                        const char *name,
                        const kmss_key_options *key_options,
                        kmss_key **out,
                        kmss_error **error);

/**
 * Makes a secret key of type `type_` that whoever has the private half of `public_key` can make of `*ciphertext` too: by ML-KEM
 * (FIPS 203), or by ECDH with an ephemeral key and the X9.63 KDF with SHA-256. `*ciphertext` is freed by `kmss_free`; the rest as
 * `kmss_derive`.
 *
 * # Safety
 * As `kmss_derive`; `ciphertext` and `ciphertext_len` point to writable values.
 */
kmss_status kmss_encapsulate_alloc(kmss_session *session,
                                   kmss_key *public_key,
                                   const char *type_,
                                   const char *name,
                                   const kmss_key_options *key_options,
                                   uint8_t **ciphertext,
                                   size_t *ciphertext_len,
                                   kmss_key **out,
                                   kmss_error **error);

/**
 * Makes the secret key that `kmss_encapsulate_alloc` made, of its ciphertext and `private_key`; the rest as `kmss_derive`.
 *
 * # Safety
 * As `kmss_derive`; `ciphertext` points to `ciphertext_len` bytes.
 */
kmss_status kmss_decapsulate(kmss_session *session,
                             kmss_key *private_key,
                             const uint8_t *ciphertext,
                             size_t ciphertext_len,
                             const char *type_,
                             const char *name,
                             const kmss_key_options *key_options,
                             kmss_key **out,
                             kmss_error **error);

/**
 * The status that the call returned. KMSS_INVALID_HANDLE for NULL and for what is no error object.
 */
kmss_status kmss_error_status(const kmss_error *error);

/**
 * What went wrong: one sentence for people, in lower case and without a final period, that holds no key material, PIN or
 * plaintext. UTF-8, valid until the object is freed; empty for NULL. Never parse it: `kmss_error_status` is for programs.
 */
const char *kmss_error_message(const kmss_error *error);

/**
 * What that came of, for people and logs; mostly empty. Valid as `kmss_error_message` says.
 */
const char *kmss_error_cause(const kmss_error *error);

/**
 * With KMSS_DENIED and KMSS_QUOTA_EXCEEDED: what names the rule, quota or block that refused; else empty. Valid as
 * `kmss_error_message` says.
 */
const char *kmss_error_rule(const kmss_error *error);

/**
 * Frees an error object. NULL is ignored.
 */
void kmss_error_free(kmss_error *error);

/**
 * Seals the file `from` as the file `to`, which has its name when all of it is on the disk, and whose mode is 0600.
 *
 * The data key is made as `kmss_data_key` makes it, one for each file; `kmss_file_open` wants the same context.
 *
 * Errors: KMSS_STORAGE where a file cannot be read or written; KMSS_KEY_MISMATCH, KMSS_KEY_STATE, KMSS_DENIED,
 * KMSS_AUDIT_UNAVAILABLE.
 *
 * # Safety
 * `seal_options` points to its struct; `from` and `to` are NUL-terminated.
 */
kmss_status kmss_file_seal(kmss_session *session,
                           const kmss_seal_options *seal_options,
                           const char *from,
                           const char *to,
                           kmss_error **error);

/**
 * As `kmss_file_seal`, from the descriptor `from` to its end to the descriptor `to`; pipes will do. Both stay open.
 *
 * # Safety
 * As `kmss_file_seal`; both descriptors are open for as long as the call lasts.
 */
kmss_status kmss_file_seal_fd(kmss_session *session,
                              const kmss_seal_options *seal_options,
                              int32_t from,
                              int32_t to,
                              kmss_error **error);

/**
 * Opens the sealed file `from` as the file `to`, with the first of its keys that is in the token. `to` has its name when all of
 * it is right and on the disk; its mode is 0600.
 *
 * Errors: KMSS_INVALID_DATA for what is no sealed file, was altered or has another context; KMSS_NOT_FOUND where none of its keys
 * is in the token; KMSS_STORAGE, KMSS_KEY_STATE, KMSS_DENIED, KMSS_AUDIT_UNAVAILABLE.
 *
 * # Safety
 * `pairs` points to `pairs_len` pairs, or `pairs_len` is 0; `from` and `to` are NUL-terminated.
 */
kmss_status kmss_file_open(kmss_session *session,
                           const kmss_pair *pairs,
                           size_t pairs_len,
                           const char *from,
                           const char *to,
                           kmss_error **error);

/**
 * As `kmss_file_open`, from the descriptor `from` to its end to the descriptor `to`; pipes will do. Both stay open. Everything
 * that is written is right, but may be the beginning of it only: that all of it came is known when this returns KMSS_OK.
 *
 * # Safety
 * As `kmss_file_open`; both descriptors are open for as long as the call lasts.
 */
kmss_status kmss_file_open_fd(kmss_session *session,
                              const kmss_pair *pairs,
                              size_t pairs_len,
                              int32_t from,
                              int32_t to,
                              kmss_error **error);

/**
 * Opens a home.
 *
 * `home` is the path of the home directory, or NULL to take it from the configuration as the PKCS#11 module does
 * (KMSS_CONF, KMSS_HOME, ~/.config/kmss/kmss.toml, /etc/kmss/kmss.toml). `*out` becomes a handle that `kmss_close` frees.
 * Tokens of the home whose keys an HSM or a kmssd keeps work as all others.
 *
 * Errors: KMSS_CONFIG, KMSS_NOT_FOUND where there is no home, KMSS_STORAGE, KMSS_DAMAGED.
 *
 * # Safety
 * `home` is NULL or a NUL-terminated string; `out` points to a writable pointer.
 */
kmss_status kmss_open(const char *home, kmss **out, kmss_error **error);

/**
 * Closes a home: its audit segment ends cleanly, and what was leased of quotas goes back. Sessions opened on it stay usable until
 * they are freed; nothing of the home is left when the last of them is. NULL is ignored.
 */
void kmss_close(kmss *home);

/**
 * Makes the wrapping key `name`, under which somebody else wraps a key for `kmss_import_finish`, and which does nothing else: of type
 * `rsa:3072` (NULL too) or `rsa:4096` for CKM_RSA_AES_KEY_WRAP, or `sm2` for SM2 enveloped keys (GM/T 0009). It is good until the end
 * of the day (UTC) that is `days` days from today, at most 30, and never leaves. The software engine keeps it, whatever keeps the
 * other keys of the token.
 *
 * `*public_key` becomes its public half (SubjectPublicKeyInfo, DER), which `kmss_free` frees.
 *
 * Errors: KMSS_ALREADY_EXISTS, KMSS_INVALID_ARGUMENT, KMSS_UNSUPPORTED for a token whose keys a server keeps, KMSS_DENIED,
 * KMSS_AUDIT_UNAVAILABLE.
 *
 * # Safety
 * `name` is NUL-terminated, `type_` too or NULL; `public_key` and `public_key_len` point to writable values.
 */
kmss_status kmss_import_begin_alloc(kmss_session *session,
                                    const char *name,
                                    const char *type_,
                                    uint32_t days,
                                    uint8_t **public_key,
                                    size_t *public_key_len,
                                    kmss_error **error);

/**
 * Takes in a key that was wrapped under the wrapping key named `with`, and destroys the wrapping key, so that a copy of what was
 * wrapped opens nowhere any more (KMSS_IMPORT_KEEP leaves it).
 *
 * Under an RSA key `wrapped` is RSAES-OAEP of a fresh AES key, followed by the key under that one by AES-KWP: a secret key as it is,
 * a private key as PKCS #8. Under an SM2 key it is an SM2EnvelopedKey (DER), and `type_` is `sm2`. `type_` is as for
 * `kmss_key_generate`; a seed (`hd-seed`) has 16 to 64 bytes. The new key is called `name`, is sensitive, and has `key_options`; a
 * private key comes with its public half. What comes under RSA is kept where the wrapping key is, in the software engine: in a token
 * whose keys are made elsewhere, say so with the `backend` `soft`. Both kinds of options may be NULL. `out` may be NULL; else `*out`
 * becomes a handle of the secret key or the private half that `kmss_key_free` frees.
 *
 * Errors: KMSS_NOT_FOUND where there is no such wrapping key, KMSS_KEY_MISMATCH for a key that does more, may leave or has no last day;
 * KMSS_INVALID_DATA, the same for every way to be wrong; KMSS_ALREADY_EXISTS, KMSS_KEY_STATE where the wrapping key has ended,
 * KMSS_INVALID_ARGUMENT, KMSS_UNSUPPORTED, also where the key would not be kept where it is wanted, KMSS_DENIED,
 * KMSS_AUDIT_UNAVAILABLE. Nothing came in then, except where the sentence says that the wrapping key, or a private key without its
 * public half, could not be destroyed. `*out` is not written.
 *
 * # Safety
 * `with`, `type_` and `name` are NUL-terminated; `import_options` and `key_options` are NULL or point to their structs; `wrapped`
 * points to `wrapped_len` bytes; `out` is NULL or points to a writable pointer.
 */
kmss_status kmss_import_finish(kmss_session *session,
                               const char *with,
                               const kmss_import_options *import_options,
                               const uint8_t *wrapped,
                               size_t wrapped_len,
                               const char *type_,
                               const char *name,
                               const kmss_key_options *key_options,
                               kmss_key **out,
                               kmss_error **error);

/**
 * Says what a ciphertext says of itself, as JSON: a message of `kmss_encrypt`, the beginning of a sealed file, or a ciphertext of
 * the compatible formats. Its `format` is `native`, `sealed-file`, `business-long`, `business-short`, `user-long` or
 * `user-short`; the other members follow from that. Needs no key and no session, and proves nothing.
 *
 * `*json` is freed by `kmss_free`.
 *
 * Errors: KMSS_INVALID_DATA for what is none of them.
 *
 * # Safety
 * `ciphertext` points to `ciphertext_len` bytes; `json` points to a writable pointer.
 */
kmss_status kmss_inspect(const uint8_t *ciphertext,
                         size_t ciphertext_len,
                         char **json,
                         kmss_error **error);

/**
 * Signs a JSON Web Token (RFC 7519), or with KMSS_JWS_PAYLOAD any bytes (RFC 7515), with a private key. The header names the version
 * of the key (`kid`), so that the token verifies after rotations, too.
 *
 * `content` is one JSON object of at most 64 KiB that says nothing twice; `iat` is added where it is missing, and `exp` as
 * `lifetime_s` says. `jws_options` may be NULL. `*token` becomes the token in the compact serialization, which `kmss_free` frees.
 *
 * Errors: KMSS_INVALID_DATA for what are no claims; KMSS_INVALID_ARGUMENT where nobody says until when they hold, or both do;
 * KMSS_KEY_MISMATCH for keys that do not sign so; as `kmss_sign`.
 *
 * # Safety
 * `jws_options` is NULL or points to its struct; `content` points to `content_len` bytes; `token` points to a writable pointer.
 */
kmss_status kmss_jws_sign(kmss_session *session,
                          kmss_key *key,
                          const kmss_jws_options *jws_options,
                          const uint8_t *content,
                          size_t content_len,
                          char **token,
                          kmss_error **error);

/**
 * Verifies a token with the version of a key that its header names, or with the one that has the name where it names none, and
 * holds its claims against what `jws_options` say, which may be NULL. `key` is any half and version of that key, whose public half
 * is in the token of the session. What a token says of algorithms and keys otherwise decides nothing.
 *
 * `token` has `token_len` bytes and need not be terminated. `*payload` becomes what it holds, which `kmss_free` frees; both
 * pointers may be NULL where nobody wants to know. Nothing is given out of a token that is wrong.
 *
 * KMSS_OK: it is right, and holds now. KMSS_SIGNATURE_INVALID: no version of the key signed it. KMSS_INVALID_DATA: it was signed,
 * and its claims are not as they are wanted, have expired or have yet to begin. Anything else: it could not be verified.
 *
 * # Safety
 * `jws_options` is NULL or points to its struct; `token` points to `token_len` bytes; `payload` and `payload_len` point to writable
 * values, or both are NULL.
 */
kmss_status kmss_jws_verify_alloc(kmss_session *session,
                                  kmss_key *key,
                                  const kmss_jws_options *jws_options,
                                  const uint8_t *token,
                                  size_t token_len,
                                  uint8_t **payload,
                                  size_t *payload_len,
                                  kmss_error **error);

/**
 * Gives out the set (RFC 7517, section 5) of all versions of `keys` that verify now, the one that was made ahead included, as JSON.
 * Each of `keys` is any half and version of a key whose public half is in the token. `algorithm` is that of RSA keys; NULL for
 * PS256. `*json` is freed by `kmss_free`.
 *
 * Errors: KMSS_KEY_MISMATCH for keys that sign no tokens, KMSS_NOT_FOUND where a public half is not there, KMSS_INVALID_ARGUMENT.
 *
 * # Safety
 * `keys` points to `keys_len` handles; `algorithm` is NULL or NUL-terminated; `json` points to a writable pointer.
 */
kmss_status kmss_jwks(kmss_session *session,
                      kmss_key *const *keys,
                      size_t keys_len,
                      const char *algorithm,
                      char **json,
                      kmss_error **error);

/**
 * Finds the key named `name` of class `class_` (KMSS_KEY_…): its name, an alias of it, or `name@n` for one of its versions. `*out`
 * becomes a handle that `kmss_key_free` frees. It goes on meaning the same version when the key is rotated.
 *
 * Errors: KMSS_NOT_FOUND, KMSS_INVALID_ARGUMENT.
 *
 * # Safety
 * `name` is a NUL-terminated string; `out` points to a writable pointer.
 */
kmss_status kmss_find_key(kmss_session *session,
                          const char *name,
                          kmss_key_class class_,
                          kmss_key **out,
                          kmss_error **error);

/**
 * Frees a key handle. A key of the token is untouched; a session key goes with its last handle. NULL is ignored.
 */
void kmss_key_free(kmss_key *key);

/**
 * Changes the life of the key `name`, of both halves of a pair together. For the security officer (`kmss_login_officer`).
 * `life_options` may be NULL.
 *
 * Errors: KMSS_NOT_FOUND, KMSS_DENIED for anybody else, KMSS_KEY_STATE where the key's state does not allow it,
 * KMSS_INVALID_ARGUMENT, KMSS_AUDIT_UNAVAILABLE.
 *
 * # Safety
 * `name` is NUL-terminated; `life_options` is NULL or points to its struct.
 */
kmss_status kmss_key_change_life(kmss_session *session,
                                 const char *name,
                                 kmss_life_change change,
                                 const kmss_life_options *life_options,
                                 kmss_error **error);

/**
 * Says when the key `name` becomes active and is deactivated by itself, in milliseconds since 1970. 0 leaves a moment as it is,
 * KMSS_NEVER takes it away. For the security officer.
 *
 * Errors: as `kmss_key_change_life`.
 *
 * # Safety
 * `name` is NUL-terminated.
 */
kmss_status kmss_key_schedule(kmss_session *session,
                              const char *name,
                              uint64_t activate_ms,
                              uint64_t deactivate_ms,
                              kmss_error **error);

/**
 * Says something else of the key `name`. For the security officer.
 *
 * Errors: as `kmss_key_change_life`.
 *
 * # Safety
 * `name` is NUL-terminated; `metadata` points to its struct.
 */
kmss_status kmss_key_set_metadata(kmss_session *session,
                                  const char *name,
                                  const kmss_key_metadata *metadata,
                                  kmss_error **error);

/**
 * Gives the key `name` these tags and no others, at most 32, each of 1 to 64 letters, digits, `-`, `_`, `.`, `:` or `=`. For the
 * security officer.
 *
 * Errors: as `kmss_key_change_life`.
 *
 * # Safety
 * `name` is NUL-terminated; `tags` points to `tags_len` NUL-terminated strings, or `tags_len` is 0.
 */
kmss_status kmss_key_set_tags(kmss_session *session,
                              const char *name,
                              const char *const *tags,
                              size_t tags_len,
                              kmss_error **error);

/**
 * Gives the alias `alias` to the key `name`, wherever it was before, in one commit; NULL takes the alias away.
 *
 * Errors: KMSS_NOT_FOUND, KMSS_ALREADY_EXISTS where a key is named so, KMSS_INVALID_ARGUMENT, KMSS_DENIED.
 *
 * # Safety
 * `alias` is NUL-terminated, `name` too or NULL.
 */
kmss_status kmss_alias_set(kmss_session *session, const char *alias, const char *name, kmss_error **error);

/**
 * Gives the key `name`, both halves of a pair, another name.
 *
 * Errors: KMSS_NOT_FOUND, KMSS_ALREADY_EXISTS, KMSS_DENIED; KMSS_INVALID_ARGUMENT for a key with versions, which keeps its name.
 *
 * # Safety
 * `name` and `new_name` are NUL-terminated.
 */
kmss_status kmss_key_rename(kmss_session *session,
                            const char *name,
                            const char *new_name,
                            kmss_error **error);

/**
 * Makes a new version of the key `name`. With `activate_ms` 0 it takes the name at once, and the former version goes on decrypting
 * and verifying as `name@n`; else at that moment (milliseconds since 1970), or with KMSS_NEVER when `kmss_key_activate` says so or
 * its certificate is imported.
 *
 * `version` takes the number of the new version; it may be NULL.
 *
 * Errors: KMSS_NOT_FOUND, KMSS_KEY_STATE where a version is pending already or the key has a certificate and is to be rotated at
 * once, KMSS_DENIED, KMSS_CONFLICT where somebody else changed the key at the same moment.
 *
 * # Safety
 * `name` is NUL-terminated; `version` is NULL or points to a writable number.
 */
kmss_status kmss_key_rotate(kmss_session *session,
                            const char *name,
                            uint64_t activate_ms,
                            uint32_t *version,
                            kmss_error **error);

/**
 * Gives the name to the version of the key `name` that was made ahead.
 *
 * Errors: KMSS_NOT_FOUND; KMSS_KEY_STATE where none is pending, or its certificate is missing while the key has one.
 *
 * # Safety
 * `name` is NUL-terminated.
 */
kmss_status kmss_key_activate(kmss_session *session, const char *name, kmss_error **error);

/**
 * Destroys the key `name`, both halves of a pair, at once and for good. `kmss_key_change_life` with KMSS_LIFE_SCHEDULE_DELETION
 * leaves time to call it off.
 *
 * Errors: KMSS_NOT_FOUND, KMSS_KEY_STATE for a key whose destruction is not due yet, KMSS_DENIED, KMSS_AUDIT_UNAVAILABLE.
 *
 * # Safety
 * `name` is NUL-terminated.
 */
kmss_status kmss_key_destroy(kmss_session *session, const char *name, kmss_error **error);

/**
 * Computes the MAC of `data` with a secret key.
 *
 * It goes to `mac` by the two-call pattern; asking for the size uses no key and is not recorded.
 *
 * Errors: as `kmss_sign`.
 *
 * # Safety
 * `data` points to `data_len` bytes; `mac` is NULL or points to `*mac_len` writable bytes; `mac_len` points to a `size_t`.
 */
kmss_status kmss_mac(kmss_session *session,
                     kmss_key *key,
                     kmss_mac_algorithm algorithm,
                     const uint8_t *data,
                     size_t data_len,
                     uint8_t *mac,
                     size_t *mac_len,
                     kmss_error **error);

/**
 * As `kmss_mac`, into memory that `kmss_free` frees.
 *
 * # Safety
 * As `kmss_mac`; `mac` and `mac_len` point to writable values.
 */
kmss_status kmss_mac_alloc(kmss_session *session,
                           kmss_key *key,
                           kmss_mac_algorithm algorithm,
                           const uint8_t *data,
                           size_t data_len,
                           uint8_t **mac,
                           size_t *mac_len,
                           kmss_error **error);

/**
 * Checks the MAC of `data` with a secret key.
 *
 * KMSS_OK: it is right. KMSS_SIGNATURE_INVALID: it is not. Anything else: it could not be checked.
 *
 * # Safety
 * `data` points to `data_len` bytes, `mac` to `mac_len` bytes.
 */
kmss_status kmss_verify_mac(kmss_session *session,
                            kmss_key *key,
                            kmss_mac_algorithm algorithm,
                            const uint8_t *data,
                            size_t data_len,
                            const uint8_t *mac,
                            size_t mac_len,
                            kmss_error **error);

/**
 * Computes the digest of `data`, which goes to `digest` by the two-call pattern.
 *
 * # Safety
 * `data` points to `data_len` bytes; `digest` is NULL or points to `*digest_len` writable bytes; `digest_len` points to a `size_t`.
 */
kmss_status kmss_hash(kmss_session *session,
                      kmss_hash_algorithm algorithm,
                      const uint8_t *data,
                      size_t data_len,
                      uint8_t *digest,
                      size_t *digest_len,
                      kmss_error **error);

/**
 * Fills `buffer` with `len` random bytes of the generator that makes keys, at most KMSS_RANDOM_MAX.
 *
 * # Safety
 * `buffer` points to `len` writable bytes.
 */
kmss_status kmss_random(kmss_session *session, uint8_t *buffer, size_t len, kmss_error **error);

/**
 * Generates the key `name` of type `type_`: `aes:256`, `sm4`, `chacha20`, `hmac:256`, `rsa:3072`, `ec:p256` (p384, p521, secp256k1),
 * `ed25519`, `ed448`, `x25519`, `x448`, `sm2`, `dh:ffdhe3072`, `ml-dsa:65`, `ml-kem:768`, `slh-dsa:sha2-128s` and their kin;
 * `hd-seed` for what `kmss_derive_child` derives from, and nothing else does.
 *
 * `key_options` may be NULL. `out` may be NULL; else `*out` becomes a handle of the secret key or of the private half, which
 * `kmss_key_free` frees.
 *
 * Errors: KMSS_ALREADY_EXISTS, also for the name of a destroyed key; KMSS_INVALID_ARGUMENT for an unknown type; KMSS_DENIED,
 * KMSS_UNSUPPORTED for what the token's backend does not make, KMSS_BACKEND_UNAVAILABLE, KMSS_AUDIT_UNAVAILABLE.
 *
 * # Safety
 * `name` and `type_` are NUL-terminated (`name` may be NULL with KMSS_KEY_SESSION); `key_options` is NULL or points to its struct;
 * `out` is NULL or points to a writable pointer.
 */
kmss_status kmss_key_generate(kmss_session *session,
                              const char *name,
                              const char *type_,
                              const kmss_key_options *key_options,
                              kmss_key **out,
                              kmss_error **error);

/**
 * Says in numbers what is known of a key now.
 *
 * # Safety
 * `info` points to a struct of as many writable bytes as its `size` says.
 */
kmss_status kmss_key_inspect(kmss_session *session, kmss_key *key, kmss_key_info *info, kmss_error **error);

/**
 * Says all that is known of a key now, as JSON: name, type, state and what there is to its life, owner, purpose, aliases, tags,
 * uses and so on. `*json` is freed by `kmss_free`.
 *
 * # Safety
 * `json` points to a writable pointer.
 */
kmss_status kmss_key_describe(kmss_session *session, kmss_key *key, char **json, kmss_error **error);

/**
 * Gives the public key of a pair out: SubjectPublicKeyInfo, DER. `*der` is freed by `kmss_free`.
 *
 * Errors: KMSS_KEY_MISMATCH for a secret key, and for types that no standard encodes so.
 *
 * # Safety
 * `der` and `der_len` point to writable values.
 */
kmss_status kmss_key_public_alloc(kmss_session *session, kmss_key *key, uint8_t **der, size_t *der_len, kmss_error **error);

/**
 * Lists keys of the token, in the order of their identities, page by page: `{"keys": […], "next": …}`, where a key is as
 * `kmss_key_describe` says it and `next` is what the next page begins with, or null. `list_options` may be NULL; `*json` is
 * freed by `kmss_free`.
 *
 * Errors: KMSS_INVALID_ARGUMENT, KMSS_DENIED.
 *
 * # Safety
 * `list_options` is NULL or points to its struct; `json` points to a writable pointer.
 */
kmss_status kmss_key_list(kmss_session *session, const kmss_list_options *list_options, char **json, kmss_error **error);

/**
 * Encrypts a message with `key`, a secret key, and authenticates `context` with it.
 *
 * `plaintext` has at most KMSS_MESSAGE_MAX bytes. The ciphertext has KMSS_MESSAGE_OVERHEAD bytes more and goes to `ciphertext` by
 * the two-call pattern; asking for its size uses no key and is not recorded. It says itself which key it needs (`kmss_inspect`).
 * `context` has `context_len` pairs, at most 64, in any order, with 8 KiB of names and values; they are not in the ciphertext,
 * and who decrypts has to give the same ones. Policies and the audit see their names.
 *
 * Errors: KMSS_KEY_MISMATCH for a key that `algorithm` is not for, KMSS_KEY_STATE, KMSS_DENIED, KMSS_QUOTA_EXCEEDED,
 * KMSS_INVALID_DATA for a plaintext that is too long, KMSS_AUDIT_UNAVAILABLE.
 *
 * # Safety
 * `context` points to `context_len` pairs, `plaintext` to `plaintext_len` bytes; `ciphertext` is NULL or points to
 * `*ciphertext_len` writable bytes; `ciphertext_len` points to a `size_t`.
 */
kmss_status kmss_encrypt(kmss_session *session,
                         kmss_key *key,
                         kmss_message_algorithm algorithm,
                         const kmss_pair *context,
                         size_t context_len,
                         const uint8_t *plaintext,
                         size_t plaintext_len,
                         uint8_t *ciphertext,
                         size_t *ciphertext_len,
                         kmss_error **error);

/**
 * As `kmss_encrypt`, into memory that `kmss_free` frees.
 *
 * # Safety
 * As `kmss_encrypt`; `ciphertext` and `ciphertext_len` point to writable values.
 */
kmss_status kmss_encrypt_alloc(kmss_session *session,
                               kmss_key *key,
                               kmss_message_algorithm algorithm,
                               const kmss_pair *context,
                               size_t context_len,
                               const uint8_t *plaintext,
                               size_t plaintext_len,
                               uint8_t **ciphertext,
                               size_t *ciphertext_len,
                               kmss_error **error);

/**
 * Decrypts a message that `kmss_encrypt` made. The key is the one that the ciphertext names, whatever it is called today.
 *
 * `context` is the one that it was encrypted with, in any order. The plaintext goes to `plaintext` by the two-call pattern;
 * asking for its size uses no key and is not recorded.
 *
 * Errors: KMSS_INVALID_DATA, the same for whatever is wrong with a ciphertext or its context; KMSS_NOT_FOUND for one whose key
 * is not in this token; KMSS_KEY_STATE, KMSS_DENIED, KMSS_QUOTA_EXCEEDED, KMSS_AUDIT_UNAVAILABLE.
 *
 * # Safety
 * As `kmss_encrypt`.
 */
kmss_status kmss_decrypt(kmss_session *session,
                         const kmss_pair *context,
                         size_t context_len,
                         const uint8_t *ciphertext,
                         size_t ciphertext_len,
                         uint8_t *plaintext,
                         size_t *plaintext_len,
                         kmss_error **error);

/**
 * As `kmss_decrypt`, into memory that `kmss_free` wipes and frees.
 *
 * # Safety
 * As `kmss_decrypt`; `plaintext` and `plaintext_len` point to writable values.
 */
kmss_status kmss_decrypt_alloc(kmss_session *session,
                               const kmss_pair *context,
                               size_t context_len,
                               const uint8_t *ciphertext,
                               size_t ciphertext_len,
                               uint8_t **plaintext,
                               size_t *plaintext_len,
                               kmss_error **error);

/**
 * Decrypts a message and encrypts it anew under `key`, by `algorithm`, with `new_context`: the plaintext is shown to nobody. Both
 * are decided and recorded as operations of their own.
 *
 * The new ciphertext is as long as the old one and goes to `out` by the two-call pattern.
 *
 * Errors: as `kmss_decrypt` and `kmss_encrypt`.
 *
 * # Safety
 * As `kmss_encrypt`; `out` is NULL or points to `*out_len` writable bytes, `out_len` points to a `size_t`.
 */
kmss_status kmss_reencrypt(kmss_session *session,
                           const kmss_pair *context,
                           size_t context_len,
                           const uint8_t *ciphertext,
                           size_t ciphertext_len,
                           kmss_key *key,
                           kmss_message_algorithm algorithm,
                           const kmss_pair *new_context,
                           size_t new_context_len,
                           uint8_t *out,
                           size_t *out_len,
                           kmss_error **error);

/**
 * As `kmss_reencrypt`, into memory that `kmss_free` frees.
 *
 * # Safety
 * As `kmss_reencrypt`; `out` and `out_len` point to writable values.
 */
kmss_status kmss_reencrypt_alloc(kmss_session *session,
                                 const kmss_pair *context,
                                 size_t context_len,
                                 const uint8_t *ciphertext,
                                 size_t ciphertext_len,
                                 kmss_key *key,
                                 kmss_message_algorithm algorithm,
                                 const kmss_pair *new_context,
                                 size_t new_context_len,
                                 uint8_t **out,
                                 size_t *out_len,
                                 kmss_error **error);

/**
 * Wipes and frees what a call of this library allocated for its caller. NULL is ignored, and so is what was freed already or
 * never allocated here.
 */
void kmss_free(void *memory);

/**
 * Puts a policy in force for the token of the session, or for its key `key` where that is not NULL: a signed bundle, a WebAssembly
 * module, or text of the policy language. For the security officer (`kmss_login_officer`), or an admin of the configuration.
 *
 * `name` is what it is called; NULL for the name that its text or bundle says. `*json` says what became of it (`name`, `scope`,
 * `sequence`, `changed`); it may be NULL, else `kmss_free` frees it.
 *
 * Errors: KMSS_INVALID_ARGUMENT for what is no policy, with all its mistakes; KMSS_NOT_LOGGED_IN or KMSS_DENIED for whoever may
 * not, and for bundles that are not trusted; KMSS_CONFLICT, KMSS_AUDIT_UNAVAILABLE.
 *
 * # Safety
 * `key` and `name` are NULL or NUL-terminated; `policy` points to `policy_len` bytes; `json` is NULL or points to a writable
 * pointer.
 */
kmss_status kmss_policy_apply(kmss_session *session,
                              const char *key,
                              const char *name,
                              const uint8_t *policy,
                              size_t policy_len,
                              uint32_t flags,
                              char **json,
                              kmss_error **error);

/**
 * Takes the policy `name` of the token, or of its key `key`, out of force. What it was required for stays required. For the
 * security officer, or an admin of the configuration.
 *
 * Errors: KMSS_NOT_FOUND; as `kmss_policy_apply`.
 *
 * # Safety
 * `key` is NULL or NUL-terminated, `name` is NUL-terminated.
 */
kmss_status kmss_policy_remove(kmss_session *session, const char *key, const char *name, uint32_t flags, kmss_error **error);

/**
 * Says which rule of the policies in force decides on what an audit record tells of, and why: a JSON array with an element for each
 * decision. `record` is `SEGMENT:SEQ`, or at least eight digits of the record's hash. With a `policy` (a bundle, a module or text)
 * that alone is asked. `*json` is freed by `kmss_free`.
 *
 * Errors: KMSS_INVALID_ARGUMENT for what names no record or one that policies have no say in; KMSS_NOT_FOUND, KMSS_STORAGE.
 *
 * # Safety
 * `record` is NUL-terminated; `policy` points to `policy_len` bytes; `json` points to a writable pointer.
 */
kmss_status kmss_policy_explain(kmss *home,
                                const char *record,
                                const uint8_t *policy,
                                size_t policy_len,
                                char **json,
                                kmss_error **error);

/**
 * Says when the key `name` is rotated by itself: this is its whole rule from now on; a NULL `rotation` takes it away. For the
 * security officer (`kmss_login_officer`). Whoever calls `kmss_rotate_due`, a kmssd or `kmss rotate due` does what is due.
 *
 * Errors: KMSS_NOT_FOUND, KMSS_DENIED for anybody else, KMSS_KEY_STATE, KMSS_INVALID_ARGUMENT for a rule that says nothing or
 * cannot be meant, KMSS_AUDIT_UNAVAILABLE.
 *
 * # Safety
 * `name` is NUL-terminated; `rotation` is NULL or points to its struct.
 */
kmss_status kmss_key_set_rotation(kmss_session *session, const char *name, const kmss_rotation *rotation, kmss_error **error);

/**
 * Does what is due about the rotation of every key of the token, or of the key `name` where that is not NULL: each step once,
 * whoever else tries it at the same moment. Keys that a kmssd keeps are rotated there.
 *
 * `*json` becomes an array with an element for each key that has a rule: `name`, `version`, `due_ms` (or null), `uses` and `bytes`
 * (`{"used": …, "limit": …}`, or null where they are not counted) and `step`: `waits`, `pending`, `rotate`, `prepare` and
 * `activate` for what was done, or is due in a dry run; `held: …` and `failed: …` with the reason. A key that could not be rotated
 * is told of here and is no error. `json` may be NULL; else `kmss_free` frees it.
 *
 * Errors: KMSS_INVALID_ARGUMENT, KMSS_DENIED for whoever may not list the token, KMSS_STORAGE.
 *
 * # Safety
 * `name` is NULL or NUL-terminated; `json` is NULL or points to a writable pointer.
 */
kmss_status kmss_rotate_due(kmss_session *session,
                            const char *name,
                            uint32_t flags,
                            char **json,
                            kmss_error **error);

/**
 * Says which versions of the key `name` are there, the oldest first, as a JSON array whose elements are as `kmss_key_describe`
 * says keys: the secret key or the private half of each, else the public one. `*json` is freed by `kmss_free`.
 *
 * Errors: KMSS_NOT_FOUND, KMSS_DENIED.
 *
 * # Safety
 * `name` is NUL-terminated; `json` points to a writable pointer.
 */
kmss_status kmss_key_versions(kmss_session *session, const char *name, char **json, kmss_error **error);

/**
 * Sets the rule for the tenant `tenant`, or where that is NULL for the token of the session; with `service` for the keys of that
 * service in it, else for all keys. It holds for what is made from now on, by everybody and at every door. For the security officer
 * (`kmss_login_officer`), of tenants for root, the home's owner and the admins of the configuration, of a service for its owner, too.
 *
 * Errors: KMSS_NOT_LOGGED_IN and KMSS_DENIED for anybody else, KMSS_INVALID_ARGUMENT for what cannot be meant, KMSS_CONFLICT where
 * somebody else changed it meanwhile, KMSS_AUDIT_UNAVAILABLE.
 *
 * # Safety
 * `tenant` and `service` are NULL or NUL-terminated; `rule` points to its struct.
 */
kmss_status kmss_rule_set(kmss_session *session,
                          const char *tenant,
                          const char *service,
                          const kmss_rule *rule,
                          kmss_error **error);

/**
 * Removes the rule for exactly this, as `kmss_rule_set` has it; keys that are there stay as they are.
 *
 * Errors: KMSS_NOT_FOUND where there is none; as `kmss_rule_set`. A service's owner does not remove what names the owner.
 *
 * # Safety
 * `tenant` and `service` are NULL or NUL-terminated.
 */
kmss_status kmss_rule_remove(kmss_session *session, const char *tenant, const char *service, kmss_error **error);

/**
 * Says which rules there are for the token of the session, for its tenant, and for services in them, the oldest first, as a JSON
 * array: `scope`, `tenant`, `namespace`, `service`, `types`, `preferred`, `rotation_days`, `apart`, `owner`, `by` and `set`. `*json` is
 * freed by `kmss_free`.
 *
 * Errors: KMSS_STORAGE, KMSS_DAMAGED.
 *
 * # Safety
 * `json` points to a writable pointer.
 */
kmss_status kmss_rule_list(kmss_session *session,
                           char **json,
                           kmss_error **error);

/**
 * Lets the service `service` use the key `name`, both halves of a pair, beside the service that it belongs to; with
 * KMSS_GRANT_WITHDRAW no more. For the security officer, and for the owner of the service that the key belongs to.
 *
 * Errors: KMSS_NOT_FOUND, KMSS_DENIED, KMSS_INVALID_ARGUMENT, KMSS_AUDIT_UNAVAILABLE.
 *
 * # Safety
 * `name` and `service` are NUL-terminated.
 */
kmss_status kmss_key_grant(kmss_session *session, const char *name, const char *service, uint32_t flags, kmss_error **error);

/**
 * Logs in to the token labelled `token` (or `tenant/token`) as its user.
 *
 * `pin` has `pin_len` bytes and need not be terminated; it is copied into memory that is wiped. With a token that asks nobody for
 * a PIN it may be NULL. `*out` becomes a handle that `kmss_logout` frees; threads may share it.
 *
 * Errors: KMSS_NOT_FOUND, KMSS_CONFLICT for a label that several tokens have, KMSS_PIN_INCORRECT, KMSS_PIN_LOCKED,
 * KMSS_PIN_NOT_SET, KMSS_DENIED, KMSS_AUDIT_UNAVAILABLE.
 *
 * # Safety
 * `token` is a NUL-terminated string, `pin` points to `pin_len` bytes, `out` points to a writable pointer.
 */
kmss_status kmss_login(kmss *home,
                       const char *token,
                       const uint8_t *pin,
                       size_t pin_len,
                       kmss_session **out,
                       kmss_error **error);

/**
 * As `kmss_login`, as the user called `user`, whose name and roles policies see.
 *
 * # Safety
 * As `kmss_login`; `user` is a NUL-terminated string.
 */
kmss_status kmss_login_user(kmss *home,
                            const char *token,
                            const char *user,
                            const uint8_t *pin,
                            size_t pin_len,
                            kmss_session **out,
                            kmss_error **error);

/**
 * As `kmss_login`, as the token's security officer, who changes the lives of keys and the policies of the token, and uses no key.
 *
 * # Safety
 * As `kmss_login`.
 */
kmss_status kmss_login_officer(kmss *home,
                               const char *token,
                               const uint8_t *pin,
                               size_t pin_len,
                               kmss_session **out,
                               kmss_error **error);

/**
 * Logs out and frees the session. Key handles found through it are of no use afterwards. NULL is ignored.
 */
void kmss_logout(kmss_session *session);

/**
 * Signs `data`, the message or its digest, with a private key.
 *
 * The signature goes to `signature` by the two-call pattern; asking for the size uses no key and is not recorded. DER signatures
 * may be some bytes shorter than that: `*signature_len` becomes what was written. `sign_options` may be NULL.
 *
 * Errors: KMSS_BUFFER_TOO_SMALL, KMSS_KEY_MISMATCH, KMSS_KEY_STATE, KMSS_DENIED, KMSS_NOT_FOUND (the key was destroyed),
 * KMSS_INVALID_DATA for a digest of another length, KMSS_AUDIT_UNAVAILABLE; KMSS_NOT_LOGGED_IN for a key that asks for its user's
 * PIN at each use, which only PKCS#11 programs can give.
 *
 * # Safety
 * `sign_options` is NULL or points to its struct; `data` points to `data_len` bytes; `signature` is NULL or points to
 * `*signature_len` writable bytes; `signature_len` points to a `size_t`.
 */
kmss_status kmss_sign(kmss_session *session,
                      kmss_key *key,
                      kmss_algorithm algorithm,
                      const kmss_sign_options *sign_options,
                      const uint8_t *data,
                      size_t data_len,
                      uint8_t *signature,
                      size_t *signature_len,
                      kmss_error **error);

/**
 * As `kmss_sign`, into memory that `kmss_free` frees.
 *
 * # Safety
 * As `kmss_sign`; `signature` and `signature_len` point to writable values.
 */
kmss_status kmss_sign_alloc(kmss_session *session,
                            kmss_key *key,
                            kmss_algorithm algorithm,
                            const kmss_sign_options *sign_options,
                            const uint8_t *data,
                            size_t data_len,
                            uint8_t **signature,
                            size_t *signature_len,
                            kmss_error **error);

/**
 * Verifies a signature of `data` with a public key.
 *
 * KMSS_OK: it is right. KMSS_SIGNATURE_INVALID: it is not. Anything else: it could not be checked.
 *
 * # Safety
 * `verify_options` is NULL or points to its struct; `data` points to `data_len` bytes, `signature` to `signature_len` bytes.
 */
kmss_status kmss_verify(kmss_session *session,
                        kmss_key *key,
                        kmss_algorithm algorithm,
                        const kmss_sign_options *verify_options,
                        const uint8_t *data,
                        size_t data_len,
                        const uint8_t *signature,
                        size_t signature_len,
                        kmss_error **error);

/**
 * Puts a token in the place of a value (UTF-8, not terminated), with a key of AES or SM4.
 *
 * The token goes to `token` by the two-call pattern; the size that is asked for is the largest that a token of such a value has,
 * and the same length for all formats of ASCII.
 *
 * Errors: KMSS_INVALID_DATA for a value that the format does not have, KMSS_INVALID_ARGUMENT for an unknown format, too small a
 * domain, another `key_version` than the handle's, or none where the key was rotated, KMSS_KEY_MISMATCH, KMSS_KEY_STATE also for
 * computed tokens by a former version, KMSS_DENIED, KMSS_QUOTA_EXCEEDED, KMSS_CONFLICT where the vault is full,
 * KMSS_AUDIT_UNAVAILABLE.
 *
 * # Safety
 * `token_options` points to its struct, `value` to `value_len` bytes; `token` is NULL or points to `*token_len` writable bytes;
 * `token_len` points to a `size_t`.
 */
kmss_status kmss_tokenize(kmss_session *session,
                          kmss_key *key,
                          const kmss_token_options *token_options,
                          const uint8_t *value,
                          size_t value_len,
                          uint8_t *token,
                          size_t *token_len,
                          kmss_error **error);

/**
 * As `kmss_tokenize`, into memory that `kmss_free` frees, with a NUL behind it.
 *
 * # Safety
 * As `kmss_tokenize`; `token` and `token_len` point to writable values.
 */
kmss_status kmss_tokenize_alloc(kmss_session *session,
                                kmss_key *key,
                                const kmss_token_options *token_options,
                                const uint8_t *value,
                                size_t value_len,
                                uint8_t **token,
                                size_t *token_len,
                                kmss_error **error);

/**
 * Gets the value of a token back; with KMSS_TOKEN_MASKED the part of it that many may see. The rest as `kmss_tokenize`.
 *
 * Errors: KMSS_INVALID_DATA for what stands for nothing; as `kmss_tokenize`.
 *
 * # Safety
 * As `kmss_tokenize`.
 */
kmss_status kmss_detokenize(kmss_session *session,
                            kmss_key *key,
                            const kmss_token_options *token_options,
                            const uint8_t *token,
                            size_t token_len,
                            uint8_t *value,
                            size_t *value_len,
                            kmss_error **error);

/**
 * As `kmss_detokenize`, into memory that `kmss_free` wipes and frees, with a NUL behind it.
 *
 * # Safety
 * As `kmss_detokenize`; `value` and `value_len` point to writable values.
 */
kmss_status kmss_detokenize_alloc(kmss_session *session,
                                  kmss_key *key,
                                  const kmss_token_options *token_options,
                                  const uint8_t *token,
                                  size_t token_len,
                                  uint8_t **value,
                                  size_t *value_len,
                                  kmss_error **error);

/**
 * The version of KMSS, for example "0.1.0". Static: never freed.
 */
const char *kmss_version(void);

/**
 * Derives the key pair at `path` from `seed`: a key that `kmss_key_generate` made of the type `hd-seed`, or that was brought in as
 * one. `curve` is `secp256k1` (BIP-32), `p256` or `ed25519` (SLIP-10); paths are written as in `m/44'/60'/0'/0/7`, those of
 * `ed25519` hardened throughout.
 *
 * The pair is a key of its own called `name` (which may be NULL with KMSS_KEY_SESSION), with `key_options`, which may be NULL. It
 * signs and verifies, is where its seed is (no other `backend` is taken), and is protected as its seed is at least. `out` may be
 * NULL; else `*out` becomes a handle of the private half that `kmss_key_free` frees.
 *
 * Errors: KMSS_INVALID_ARGUMENT for a path or a curve that there is not, and for KMSS_KEY_EXTRACTABLE where the seed is not;
 * KMSS_UNSUPPORTED for what is no seed, for keys of HSMs, and for a `backend` that is not the seed's; KMSS_KEY_STATE, KMSS_DENIED,
 * KMSS_ALREADY_EXISTS, KMSS_AUDIT_UNAVAILABLE.
 *
 * # Safety
 * `curve` and `path` are NUL-terminated, `name` too or NULL; `key_options` is NULL or points to its struct; `out` is NULL or points
 * to a writable pointer.
 */
kmss_status kmss_derive_child(kmss_session *session,
                              kmss_key *seed,
                              const char *curve,
                              const char *path,
                              const char *name,
                              const kmss_key_options *key_options,
                              kmss_key **out,
                              kmss_error **error);

/**
 * Wraps `key`, which must be extractable, under `wrapping_key`: a secret key, or the public half of an RSA pair. Private keys are
 * wrapped as PKCS #8. `*wrapped` is freed by `kmss_free`.
 *
 * There is no two-call form: how long a wrapped private key is depends on the key, and asking would be a use of it.
 *
 * Errors: KMSS_KEY_MISMATCH for a key that is not extractable or does not go with the mechanism, KMSS_KEY_STATE, KMSS_DENIED,
 * KMSS_UNSUPPORTED, KMSS_AUDIT_UNAVAILABLE.
 *
 * # Safety
 * `wrapped` and `wrapped_len` point to writable values.
 */
kmss_status kmss_wrap_alloc(kmss_session *session,
                            kmss_key *wrapping_key,
                            kmss_wrapping wrapping,
                            kmss_key *key,
                            uint8_t **wrapped,
                            size_t *wrapped_len,
                            kmss_error **error);

/**
 * Unwraps a key of type `type_` (as for `kmss_key_generate`; a seed has 16 to 64 bytes) under `unwrapping_key`: a secret key, or the
 * private half of an RSA pair. The new key is called `name` (which may be NULL with KMSS_KEY_SESSION), has `key_options`, which may be
 * NULL, and is where `unwrapping_key` is; `*out` becomes a handle of it that `kmss_key_free` frees.
 *
 * Errors: KMSS_INVALID_DATA, the same for every way to be wrong; KMSS_ALREADY_EXISTS; KMSS_UNSUPPORTED also for another `backend` than
 * that of `unwrapping_key`; as `kmss_wrap_alloc`.
 *
 * # Safety
 * `wrapped` points to `wrapped_len` bytes; `type_` is NUL-terminated, `name` too or NULL; `key_options` is NULL or points to its
 * struct; `out` points to a writable pointer.
 */
kmss_status kmss_unwrap(kmss_session *session,
                        kmss_key *unwrapping_key,
                        kmss_wrapping wrapping,
                        const uint8_t *wrapped,
                        size_t wrapped_len,
                        const char *type_,
                        const char *name,
                        const kmss_key_options *key_options,
                        kmss_key **out,
                        kmss_error **error);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* KMSS_H */
