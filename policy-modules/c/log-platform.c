/*
 * The log platform (principals `service:log-…`) encrypts what it collects and never decrypts it: who breaks into it reads
 * nothing that was logged before. Its keys are those tagged `logs`. It encrypts with authenticated ciphers, at most 1 MiB
 * at once; it may find its keys. Everything else it tries on them is denied, whatever other policies say.
 *
 * Who is not the log platform is none of this policy's business; see rbac for those who read logs.
 */
#include "kmss_policy.h"

#define RULES(RULE)                                                                                    \
    RULE(ENCRYPTS, 1, "log-platform.encrypts", "")                                                     \
    RULE(FINDS, 2, "log-platform.finds", "")                                                           \
    RULE(NEVER_READS, 3, "log-platform.never-reads", "the log platform may encrypt, but never decrypt") \
    RULE(WEAK_CIPHER, 4, "log-platform.cipher", "logs are encrypted with an authenticated cipher (GCM, CCM or ChaCha20-Poly1305)") \
    RULE(NOTHING_ELSE, 5, "log-platform.nothing-else", "the log platform may only find its keys and encrypt with them")
KMSS_RULES(RULES)

static const struct kmss_packed {
    uint32_t total;
    KMSS_TEXT_OF("log-platform") tag;
    kmss_number size;
} encrypts = {sizeof encrypts, KMSS_AUDIT_TAG("log-platform"), KMSS_MAXIMUM_DATA(1 << 20)};

/* Tries of what the platform is never meant to do are told at once: someone else may be using its name. */
static const struct kmss_packed {
    uint32_t total;
    KMSS_TEXT_OF("security") channel;
} alarm = {sizeof alarm, KMSS_NOTIFY("security")};

static bool is_authenticated(uint32_t mechanism) {
    return mechanism == KMSS_AES_GCM || mechanism == KMSS_AES_CCM || mechanism == KMSS_SM4_GCM ||
           mechanism == KMSS_CHACHA20_POLY1305;
}

static kmss_decision decide(const kmss_request *request) {
    kmss_text principal = kmss_text_at(request, request->principal);
    if (!KMSS_STARTS_WITH(principal, "service:log-") || !KMSS_CONTAINS(request, request->tags, "logs")) {
        return kmss_not_applicable();
    }
    switch (request->action) {
    case KMSS_ENCRYPT:
        return is_authenticated(request->mechanism) ? kmss_allow(ENCRYPTS, &encrypts) : kmss_deny(WEAK_CIPHER, NULL);
    case KMSS_FIND:
        return kmss_allow(FINDS, NULL);
    case KMSS_DECRYPT:
    case KMSS_UNWRAP:
    case KMSS_EXPORT:
    case KMSS_WRAP:
    case KMSS_DERIVE:
        return kmss_deny(NEVER_READS, &alarm);
    default:
        return kmss_deny(NOTHING_ELSE, NULL);
    }
}

KMSS_POLICY(decide)
