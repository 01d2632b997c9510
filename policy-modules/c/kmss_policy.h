/*
 * Policies for KMSS in C: one header, no library. Include it in the one file of a policy and write
 *
 *     static kmss_decision decide(const kmss_request *request) { ... }
 *     KMSS_POLICY(decide)
 *
 * policy-modules/README.md says how it is built. The layout is that of docs/policy-abi.md. It fails closed: a request
 * that is not laid out as that page says ends the decision in a trap, which the host takes for a deny.
 *
 * A policy that writes to no memory is the fastest kind: keep what you compute in numbers rather than in arrays or
 * structures, and make responses constants.
 */
#ifndef KMSS_POLICY_H
#define KMSS_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KMSS_BUFFER 16384
#define KMSS_INLINE static inline __attribute__((always_inline, unused))
#define kmss_packed __attribute__((packed))

/* --- the request (section 2) --- */

/* A text of the request: UTF-8 without a zero at its end. */
typedef struct {
    const char *bytes;
    uint32_t length;
} kmss_text;

/* Where a text stands in the request, or how many entries a list has. */
typedef struct {
    uint32_t offset, length;
} kmss_place;

typedef struct {
    uint32_t version, total, action, mechanism;
    uint64_t time, sequence;
    uint32_t last_second, last_minute;
    uint64_t data_length;
    uint32_t flags, uid, pid, key_type, key_bits, fixed;
    uint64_t key_created, version_age;
    kmss_place tenant, principal, roles, key_id, label, name_space, tags, process, source, session, context;
} kmss_request;

_Static_assert(sizeof(kmss_request) == 176, "the fixed part of version 1.0");

#define KMSS_UNKNOWN_LENGTH UINT64_MAX
#define KMSS_NO_UID UINT32_MAX

enum { KMSS_INTERACTIVE = 1, KMSS_MFA = 2, KMSS_FIPS = 4, KMSS_HAS_KEY = 8, KMSS_SESSION_KEY = 16 };

enum {
    KMSS_FIND = 1, KMSS_GENERATE, KMSS_IMPORT, KMSS_EXPORT, KMSS_SIGN, KMSS_VERIFY, KMSS_ENCRYPT, KMSS_DECRYPT,
    KMSS_WRAP, KMSS_UNWRAP, KMSS_DERIVE, KMSS_ENCAPSULATE, KMSS_DECAPSULATE, KMSS_DIGEST, KMSS_RANDOM, KMSS_MANAGE,
    KMSS_CHANGE_STATE, KMSS_DESTROY, KMSS_LOGIN, KMSS_LOGOUT, KMSS_SET_PIN, KMSS_INITIALIZE
};

/* Some mechanisms; section 4.2 has them all. */
enum { KMSS_AES_GCM = 0x060A, KMSS_AES_CCM = 0x060B, KMSS_SM4_GCM = 0x070A, KMSS_CHACHA20_POLY1305 = 0x0801 };

enum {
    KMSS_RSA = 1, KMSS_EC, KMSS_EDWARDS, KMSS_MONTGOMERY, KMSS_SM2, KMSS_DH, KMSS_ML_DSA, KMSS_ML_KEM, KMSS_SLH_DSA,
    KMSS_AES, KMSS_AES_XTS, KMSS_CHACHA20, KMSS_SM4, KMSS_GENERIC, KMSS_HMAC, KMSS_HKDF
};

/* The text at a place. */
KMSS_INLINE kmss_text kmss_text_at(const kmss_request *request, kmss_place place) {
    if (place.offset > request->total || place.length > request->total - place.offset) {
        __builtin_trap();
    }
    return (kmss_text){(const char *)request + place.offset, place.length};
}

/* The place at an offset; `offset` is one of an entry of a list or map. */
KMSS_INLINE kmss_place kmss_place_at(const kmss_request *request, uint32_t offset) {
    if (offset > request->total || request->total - offset < 8 || offset % 4 != 0) {
        __builtin_trap();
    }
    return *(const kmss_place *)((const char *)request + offset);
}

/* Entry `i` of a list; `i` is less than the list's length. */
KMSS_INLINE kmss_text kmss_entry(const kmss_request *request, kmss_place list, uint32_t i) {
    if (list.length > KMSS_BUFFER / 8 || i >= list.length) {
        __builtin_trap();
    }
    return kmss_text_at(request, kmss_place_at(request, list.offset + 8 * i));
}

KMSS_INLINE bool kmss_has_prefix(kmss_text text, const char *prefix, uint32_t length) {
    if (text.length < length) {
        return false;
    }
    for (uint32_t i = 0; i < length; i++) {
        if (text.bytes[i] != prefix[i]) {
            return false;
        }
    }
    return true;
}

/* Whether a text is, or begins with, a string constant. */
#define KMSS_IS(text, constant) ((text).length == sizeof(constant) - 1 && KMSS_STARTS_WITH(text, constant))
#define KMSS_STARTS_WITH(text, constant) kmss_has_prefix((text), (constant), sizeof(constant) - 1)

KMSS_INLINE bool kmss_list_has(const kmss_request *request, kmss_place list, const char *wanted, uint32_t length) {
    for (uint32_t i = 0; i < list.length; i++) {
        kmss_text entry = kmss_entry(request, list, i);
        if (entry.length == length && kmss_has_prefix(entry, wanted, length)) {
            return true;
        }
    }
    return false;
}

/* Whether a string constant is in a list: KMSS_CONTAINS(request, request->tags, "logs"). */
#define KMSS_CONTAINS(request, list, constant) kmss_list_has((request), (list), (constant), sizeof(constant) - 1)

/* --- the decision (section 3) --- */

typedef int64_t kmss_decision;

/* Pass NULL where there is no response. */
KMSS_INLINE kmss_decision kmss_answer(uint32_t verdict, uint32_t rule, const void *response) {
    return (kmss_decision)(verdict | (uint64_t)(rule & 0xFFFFFF) << 8 | (uint64_t)(uintptr_t)response << 32);
}

#define kmss_deny(rule, response) kmss_answer(0, (rule), (response))
#define kmss_allow(rule, response) kmss_answer(1, (rule), (response))
#define kmss_not_applicable() kmss_answer(2, 0, NULL)

/* --- responses (section 5), as constants:
 *
 *     static const struct kmss_packed {
 *         uint32_t total;
 *         KMSS_TEXT_OF("logs") tag;
 *         kmss_number size;
 *     } response = {sizeof response, KMSS_AUDIT_TAG("logs"), KMSS_MAXIMUM_DATA(65536)};
 *
 * Every duty is marked critical: a host that does not know it denies. --- */

typedef struct kmss_packed { uint16_t type, length; } kmss_bare;
typedef struct kmss_packed { uint16_t type, length; uint8_t value; } kmss_byte;
typedef struct kmss_packed { uint16_t type, length; uint32_t value; } kmss_word;
typedef struct kmss_packed { uint16_t type, length; uint64_t value; } kmss_number;
typedef struct kmss_packed { uint16_t type, length; uint32_t count, seconds; } kmss_rate;

#define KMSS_TEXT_OF(text) struct kmss_packed { uint16_t type, length; char value[sizeof(text) - 1]; }
#define KMSS_QUORUM_OF(role) \
    struct kmss_packed { uint16_t type, length; uint8_t approvals, zero[3]; uint32_t window; char role[sizeof(role) - 1]; }

#define KMSS_AUDIT_TAG(text) {0x8001, sizeof(text) - 1, text}
#define KMSS_RATE_LIMIT(count, seconds) {0x8002, 8, (count), (seconds)}
#define KMSS_MAXIMUM_DATA(bytes) {0x8003, 8, (bytes)}
#define KMSS_STEP_UP {0x8004, 0}
#define KMSS_QUORUM(approvals, role, window) {0x8005, 8 + sizeof(role) - 1, (approvals), {0}, (window), role}
#define KMSS_SESSION_EXPIRY(seconds) {0x8006, 4, (seconds)}
#define KMSS_NOTIFY(text) {0x8007, sizeof(text) - 1, text}
#define KMSS_MASK(shown) {0x8008, 1, (shown)}
#define KMSS_REASON(text) {0x0010, sizeof(text) - 1, text}

/* --- names of rules (section 6): a list of RULE(constant, number, "name", "reason or nothing"), in ascending order:
 *
 *     #define RULES(RULE) RULE(ENCRYPTS, 1, "logs.encrypt", "") RULE(NEVER, 2, "logs.never", "logs are not decrypted")
 *     KMSS_RULES(RULES)
 * --- */

#define KMSS_RULES(list) enum { list(KMSS_RULE_CONSTANT) }; KMSS_RULES_SECTION(list)
#define KMSS_RULE_CONSTANT(id, number, name, reason) id = number,

/* Only the assembler makes custom sections, and only for WebAssembly. */
#ifdef __wasm__
#define KMSS_RULES_SECTION(list)                                                                       \
    __asm__(".section .custom_section.kmss.rules,\"\",@\n.Lkmss:\n.int32 1\n.int32 0" list(KMSS_RULE_COUNT) "\n" \
            list(KMSS_RULE_ENTRY) list(KMSS_RULE_TEXTS));
#else
#define KMSS_RULES_SECTION(list)
#endif
#define KMSS_RULE_COUNT(id, number, name, reason) "+1"
#define KMSS_RULE_ENTRY(id, number, name, reason)                                                      \
    ".int32 " #number "\n.int32 .Lname_" #id "-.Lkmss\n.int32 .Lreason_" #id "-.Lname_" #id             \
    "\n.int32 .Lreason_" #id "-.Lkmss\n.int32 .Lend_" #id "-.Lreason_" #id "\n"
#define KMSS_RULE_TEXTS(id, number, name, reason)                                                      \
    ".Lname_" #id ":\n.ascii " #name "\n.Lreason_" #id ":\n.ascii " #reason "\n.Lend_" #id ":\n"

/* --- the exports (section 1) --- */

#define KMSS_EXPORT(name) __attribute__((export_name(name), visibility("default")))

#define KMSS_POLICY(decide)                                                                            \
    static _Alignas(8) unsigned char kmss_request_buffer[KMSS_BUFFER];                                 \
    KMSS_EXPORT("kmss_abi") int32_t kmss_abi(void) { return 1 << 16; }                                 \
    KMSS_EXPORT("kmss_buf") int32_t kmss_buf(void) { return (int32_t)(uintptr_t)kmss_request_buffer; } \
    KMSS_EXPORT("kmss_decide") int64_t kmss_decide(int32_t length) {                                   \
        const kmss_request *request = (const kmss_request *)kmss_request_buffer;                       \
        if (length < (int32_t)sizeof *request || length > KMSS_BUFFER ||                               \
            request->total != (uint32_t)length || request->version >> 16 != 1) {                       \
            __builtin_trap();                                                                          \
        }                                                                                              \
        return decide(request);                                                                        \
    }

#endif
