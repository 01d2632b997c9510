/* abi_messages HOME TOKEN: messages, data keys, signatures, MACs, digests, wrapped and derived keys, and many of them at once, through the
 * C interface. */
#include "abi.h"
#include <sys/wait.h>
#include <unistd.h>

static kmss_session *session;
static kmss_key *aes;
static const uint8_t text[] = "forty-two";
static const kmss_pair context[] = {{"tenant", "one"}, {"row", "17"}};
static const kmss_pair turned[] = {{"row", "17"}, {"tenant", "one"}};

static kmss_key *made(const char *name, const char *type) {
    kmss_key *key = NULL;
    STATUS(KMSS_OK, kmss_key_generate(session, name, type, NULL, &key, &error));
    return key;
}

static kmss_key *found(const char *name, kmss_key_class class_) {
    kmss_key *key = NULL;
    STATUS(KMSS_OK, kmss_find_key(session, name, class_, &key, &error));
    return key;
}

static void messages(void) {
    uint8_t sealed[128], plain[64];
    size_t len = 0, plain_len = sizeof plain;
    STATUS(KMSS_OK, kmss_encrypt(session, aes, 0, context, 2, text, sizeof text, NULL, &len, &error));
    CHECK(len == sizeof text + KMSS_MESSAGE_OVERHEAD);
    len -= 1;
    STATUS(KMSS_BUFFER_TOO_SMALL, kmss_encrypt(session, aes, 0, context, 2, text, sizeof text, sealed, &len, &error));
    CHECK(len == sizeof text + KMSS_MESSAGE_OVERHEAD);
    len = sizeof sealed;
    STATUS(KMSS_OK, kmss_encrypt(session, aes, KMSS_MESSAGE_USUAL, context, 2, text, sizeof text, sealed, &len, &error));
    STATUS(KMSS_OK, kmss_decrypt(session, turned, 2, sealed, len, plain, &plain_len, &error));
    CHECK(plain_len == sizeof text && memcmp(plain, text, sizeof text) == 0);

    /* One error for another context, an altered byte and what is no ciphertext. */
    plain_len = sizeof plain;
    STATUS(KMSS_INVALID_DATA, kmss_decrypt(session, context, 1, sealed, len, plain, &plain_len, &error));
    plain_len = sizeof plain;
    sealed[len - 1] ^= 1;
    STATUS(KMSS_INVALID_DATA, kmss_decrypt(session, context, 2, sealed, len, plain, &plain_len, &error));
    sealed[len - 1] ^= 1;
    plain_len = sizeof plain;
    STATUS(KMSS_INVALID_DATA, kmss_decrypt(session, NULL, 0, text, sizeof text, plain, &plain_len, &error));

    /* Wrong contexts, algorithms and pointers. */
    const kmss_pair hostile[] = {{NULL, "x"}}, twice[] = {{"a", "1"}, {"a", "2"}};
    STATUS(KMSS_INVALID_ARGUMENT, kmss_encrypt(session, aes, 0, hostile, 1, text, 1, sealed, &plain_len, &error));
    STATUS(KMSS_INVALID_ARGUMENT, kmss_encrypt(session, aes, 0, twice, 2, text, 1, sealed, &plain_len, &error));
    STATUS(KMSS_INVALID_ARGUMENT, kmss_encrypt(session, aes, 0, NULL, 1, text, 1, sealed, &plain_len, &error));
    STATUS(KMSS_INVALID_ARGUMENT, kmss_encrypt(session, aes, 0, context, (size_t)-1, text, 1, sealed, &plain_len, &error));
    STATUS(KMSS_INVALID_ARGUMENT, kmss_encrypt(session, aes, 0, NULL, 0, text, (size_t)-1, sealed, &plain_len, &error));
    STATUS(KMSS_INVALID_ARGUMENT, kmss_encrypt(session, aes, 99, NULL, 0, text, 1, sealed, &plain_len, &error));
    STATUS(KMSS_KEY_MISMATCH, kmss_encrypt(session, aes, KMSS_MESSAGE_SM4_GCM, NULL, 0, text, 1, sealed, &plain_len, &error));
    STATUS(KMSS_INVALID_ARGUMENT, kmss_encrypt(session, aes, 0, NULL, 0, text, 1, sealed, NULL, &error));
    STATUS(KMSS_INVALID_ARGUMENT, kmss_encrypt_alloc(session, aes, 0, NULL, 0, text, 1, NULL, &plain_len, &error));
    STATUS(KMSS_INVALID_HANDLE, kmss_decrypt(NULL, NULL, 0, sealed, len, plain, &plain_len, &error));

    /* The same in memory of the library, under another key and context. */
    uint8_t *moved = NULL, *opened = NULL;
    size_t moved_len = 0, opened_len = 0;
    kmss_key *sm4 = made("sm4", "sm4");
    STATUS(KMSS_OK, kmss_reencrypt_alloc(session, context, 2, sealed, len, sm4, 0, NULL, 0, &moved, &moved_len, &error));
    CHECK(moved_len == len && moved[moved_len] == 0);
    STATUS(KMSS_OK, kmss_decrypt_alloc(session, NULL, 0, moved, moved_len, &opened, &opened_len, &error));
    CHECK(opened_len == sizeof text && memcmp(opened, text, sizeof text) == 0);
    kmss_free(moved);
    kmss_free(opened);
    kmss_free(opened);

    /* What a ciphertext says of itself. */
    char *json = NULL;
    STATUS(KMSS_OK, kmss_inspect(sealed, len, &json, &error));
    CHECK(strstr(json, "\"native\"") != NULL && strstr(json, "aes-256-gcm") != NULL);
    kmss_free(json);
    STATUS(KMSS_INVALID_DATA, kmss_inspect(text, sizeof text, &json, &error));

    /* Equal ciphertexts where that is asked for. */
    uint8_t other[128];
    size_t other_len = sizeof other;
    len = sizeof sealed;
    STATUS(KMSS_OK, kmss_encrypt(session, aes, KMSS_MESSAGE_DETERMINISTIC_AES_SIV, NULL, 0, text, 5, sealed, &len, &error));
    STATUS(KMSS_OK, kmss_encrypt(session, aes, KMSS_MESSAGE_DETERMINISTIC_AES_SIV, NULL, 0, text, 5, other, &other_len, &error));
    CHECK(len == other_len && memcmp(sealed, other, len) == 0);
    kmss_key_free(sm4);
}

static void data_keys(void) {
    uint8_t key[32], sealed[32 + KMSS_MESSAGE_OVERHEAD], again[32];
    size_t len = sizeof sealed, again_len = sizeof again;
    STATUS(KMSS_OK, kmss_data_key(session, aes, 0, context, 2, sizeof key, key, sealed, &len, &error));
    STATUS(KMSS_OK, kmss_decrypt(session, context, 2, sealed, len, again, &again_len, &error));
    CHECK(again_len == 32 && memcmp(key, again, 32) == 0);
    STATUS(KMSS_OK, kmss_data_key(session, aes, 0, NULL, 0, 32, NULL, sealed, &len, &error));
    STATUS(KMSS_KEY_MISMATCH, kmss_data_key_alloc(session, aes, 0, NULL, 0, 4, NULL, &(uint8_t *){NULL}, &len, &error));

    uint8_t *plain = NULL, *wrapped = NULL, *public = NULL, *private = NULL;
    size_t wrapped_len = 0, public_len = 0, private_len = 0;
    STATUS(KMSS_OK, kmss_data_key_alloc(session, aes, 0, NULL, 0, 16, &plain, &wrapped, &wrapped_len, &error));
    CHECK(plain != NULL && wrapped_len == 16 + KMSS_MESSAGE_OVERHEAD);
    kmss_free(plain);
    kmss_free(wrapped);
    STATUS(KMSS_OK, kmss_data_key_pair_alloc(session, aes, 0, NULL, 0, "ec:p256", &public, &public_len, &private, &private_len,
                                             &wrapped, &wrapped_len, &error));
    CHECK(public_len == 91 && private_len > 32 && wrapped_len == private_len + KMSS_MESSAGE_OVERHEAD);
    kmss_free(public);
    kmss_free(private);
    kmss_free(wrapped);
    STATUS(KMSS_INVALID_ARGUMENT, kmss_data_key_pair_alloc(session, aes, 0, NULL, 0, "aes:256", &public, &public_len, NULL, NULL,
                                                           &wrapped, &wrapped_len, &error));
}

static void one_signature(const char *name, const char *type, kmss_algorithm algorithm, uint32_t flags, int sm2_id) {
    kmss_sign_options how;
    memset(&how, 0, sizeof how);
    how.size = sizeof how;
    how.flags = flags;
    if (sm2_id) {
        how.user_id = (const uint8_t *)"ALICE";
        how.user_id_len = 5;
    }
    uint8_t digest[32], *signature = NULL;
    size_t digest_len = sizeof digest, len = 0, longest = 0;
    STATUS(KMSS_OK, kmss_hash(session, KMSS_SHA256, text, sizeof text, digest, &digest_len, &error));
    const uint8_t *data = flags & KMSS_SIGN_DIGEST ? digest : text;
    size_t data_len = flags & KMSS_SIGN_DIGEST ? sizeof digest : sizeof text;
    kmss_key *private = made(name, type), *public = found(name, KMSS_KEY_PUBLIC);
    STATUS(KMSS_OK, kmss_sign(session, private, algorithm, &how, data, data_len, NULL, &longest, &error));
    STATUS(KMSS_OK, kmss_sign_alloc(session, private, algorithm, &how, data, data_len, &signature, &len, &error));
    CHECK(len > 0 && len <= longest);
    STATUS(KMSS_OK, kmss_verify(session, public, algorithm, &how, data, data_len, signature, len, &error));
    if (flags == KMSS_SIGN_DIGEST) {
        STATUS(KMSS_OK, kmss_verify(session, public, algorithm, NULL, text, sizeof text, signature, len, &error));
        STATUS(KMSS_INVALID_DATA, kmss_sign(session, private, algorithm, &how, data, 31, NULL, &longest, &error));
    }
    if (sm2_id) STATUS(KMSS_SIGNATURE_INVALID, kmss_verify(session, public, algorithm, NULL, data, data_len, signature, len, &error));
    signature[len / 2] ^= 4;
    STATUS(KMSS_SIGNATURE_INVALID, kmss_verify(session, public, algorithm, &how, data, data_len, signature, len, &error));
    kmss_free(signature);
    kmss_key_free(private);
    kmss_key_free(public);
}

static void signatures(void) {
    one_signature("rsa", "rsa:2048", KMSS_RSA_PKCS1_SHA256, KMSS_SIGN_DIGEST, 0);
    one_signature("pss", "rsa:2048", KMSS_RSA_PSS_SHA256, 0, 0);
    one_signature("ec", "ec:p256", KMSS_ECDSA_SHA256, KMSS_SIGN_DIGEST, 0);
    one_signature("ec-der", "ec:p521", KMSS_ECDSA_SHA512, KMSS_SIGN_DER, 0);
    one_signature("sm2-id", "sm2", KMSS_SM2_SM3, 0, 1);
    one_signature("sm2-der", "sm2", KMSS_SM2_SM3, KMSS_SIGN_DER, 0);
    one_signature("ed", "ed25519", KMSS_EDDSA, 0, 0);
    one_signature("ml", "ml-dsa:65", KMSS_ML_DSA, 0, 0);

    /* Structs of another size: too small to be one, of a newer header whose new fields are used, and of one where they are not. */
    struct {
        kmss_sign_options known;
        size_t newer;
    } how;
    kmss_key *ec = found("ec", KMSS_KEY_PRIVATE);
    size_t len = 0;
    memset(&how, 0, sizeof how);
    STATUS(KMSS_INVALID_ARGUMENT, kmss_sign(session, ec, KMSS_ECDSA_SHA256, &how.known, text, 1, NULL, &len, &error));
    how.known.size = sizeof how;
    STATUS(KMSS_OK, kmss_sign(session, ec, KMSS_ECDSA_SHA256, &how.known, text, 1, NULL, &len, &error));
    how.newer = 1;
    STATUS(KMSS_UNSUPPORTED, kmss_sign(session, ec, KMSS_ECDSA_SHA256, &how.known, text, 1, NULL, &len, &error));
    how.known.size = sizeof(size_t);
    STATUS(KMSS_OK, kmss_sign(session, ec, KMSS_ECDSA_SHA256, &how.known, text, 1, NULL, &len, &error));
    how.known.size = sizeof how.known;
    how.known.flags = 1u << 31;
    STATUS(KMSS_INVALID_ARGUMENT, kmss_sign(session, ec, KMSS_ECDSA_SHA256, &how.known, text, 1, NULL, &len, &error));
    how.known.flags = KMSS_SIGN_DIGEST;
    STATUS(KMSS_INVALID_ARGUMENT, kmss_sign(session, ec, KMSS_EDDSA, &how.known, text, 1, NULL, &len, &error));
    kmss_key_free(ec);
}

static void macs(void) {
    uint8_t mac[64], random[40] = {0};
    size_t len = sizeof mac;
    kmss_key *hmac = made("hmac", "hmac:256");
    STATUS(KMSS_OK, kmss_mac(session, hmac, KMSS_HMAC_SHA256, text, sizeof text, mac, &len, &error));
    CHECK(len == 32);
    STATUS(KMSS_OK, kmss_verify_mac(session, hmac, KMSS_HMAC_SHA256, text, sizeof text, mac, len, &error));
    mac[0] ^= 1;
    STATUS(KMSS_SIGNATURE_INVALID, kmss_verify_mac(session, hmac, KMSS_HMAC_SHA256, text, sizeof text, mac, len, &error));
    len = sizeof mac;
    STATUS(KMSS_OK, kmss_mac(session, aes, KMSS_AES_CMAC, text, sizeof text, mac, &len, &error));
    CHECK(len == 16);
    STATUS(KMSS_INVALID_ARGUMENT, kmss_mac(session, aes, 77, text, sizeof text, mac, &len, &error));
    STATUS(KMSS_OK, kmss_random(session, random, sizeof random, &error));
    CHECK(memcmp(random, mac, 16) != 0);
    STATUS(KMSS_INVALID_ARGUMENT, kmss_random(session, NULL, 1, &error));
    STATUS(KMSS_INVALID_ARGUMENT, kmss_random(session, random, KMSS_RANDOM_MAX + 1, &error));
    kmss_key_free(hmac);
}

static void wrapping(void) {
    kmss_key_options how;
    memset(&how, 0, sizeof how);
    how.size = sizeof how;
    how.flags = KMSS_KEY_EXTRACTABLE | KMSS_KEY_SESSION;
    kmss_key *leaving = NULL, *back = NULL, *derived = NULL, *same = NULL;
    uint8_t *wrapped = NULL, one[32], other[32];
    size_t len = 0, one_len = sizeof one, other_len = sizeof other;
    STATUS(KMSS_OK, kmss_key_generate(session, NULL, "hmac:256", &how, &leaving, &error));
    STATUS(KMSS_OK, kmss_wrap_alloc(session, aes, KMSS_WRAP_KWP, leaving, &wrapped, &len, &error));
    CHECK(len == 40);
    STATUS(KMSS_OK, kmss_unwrap(session, aes, KMSS_WRAP_KWP, wrapped, len, "hmac:256", NULL, &how, &back, &error));
    STATUS(KMSS_OK, kmss_mac(session, leaving, KMSS_HMAC_SHA256, text, 5, one, &one_len, &error));
    STATUS(KMSS_OK, kmss_mac(session, back, KMSS_HMAC_SHA256, text, 5, other, &other_len, &error));
    CHECK(memcmp(one, other, 32) == 0);
    wrapped[3] ^= 1;
    STATUS(KMSS_INVALID_DATA, kmss_unwrap(session, aes, KMSS_WRAP_KWP, wrapped, len, "hmac:256", NULL, &how, &same, &error));
    kmss_free(wrapped);
    STATUS(KMSS_KEY_MISMATCH, kmss_wrap_alloc(session, aes, KMSS_WRAP_KWP, aes, &wrapped, &len, &error));
    STATUS(KMSS_INVALID_ARGUMENT, kmss_key_generate(session, NULL, "hmac:256", NULL, NULL, &error));

    kmss_derive_options from;
    memset(&from, 0, sizeof from);
    from.size = sizeof from;
    from.info = text;
    from.info_len = sizeof text;
    STATUS(KMSS_OK, kmss_derive(session, leaving, KMSS_DERIVE_HKDF, &from, "hmac:256", NULL, &how, &derived, &error));
    STATUS(KMSS_OK, kmss_derive(session, back, KMSS_DERIVE_HKDF, &from, "hmac:256", NULL, &how, &same, &error));
    STATUS(KMSS_OK, kmss_mac(session, derived, KMSS_HMAC_SHA256, text, 5, one, &one_len, &error));
    STATUS(KMSS_OK, kmss_mac(session, same, KMSS_HMAC_SHA256, text, 5, other, &other_len, &error));
    CHECK(memcmp(one, other, 32) == 0);
    kmss_key_free(derived);
    kmss_key_free(same);

    kmss_key *kem = made("kem", "ml-kem:768"), *public = found("kem", KMSS_KEY_PUBLIC);
    uint8_t *ciphertext = NULL;
    STATUS(KMSS_OK, kmss_encapsulate_alloc(session, public, "hmac:256", NULL, &how, &ciphertext, &len, &derived, &error));
    CHECK(len == 1088);
    STATUS(KMSS_OK, kmss_decapsulate(session, kem, ciphertext, len, "hmac:256", NULL, &how, &same, &error));
    STATUS(KMSS_OK, kmss_mac(session, derived, KMSS_HMAC_SHA256, text, 5, one, &one_len, &error));
    STATUS(KMSS_OK, kmss_mac(session, same, KMSS_HMAC_SHA256, text, 5, other, &other_len, &error));
    CHECK(memcmp(one, other, 32) == 0);
    kmss_free(ciphertext);
    kmss_key *all[] = {leaving, back, derived, same, kem, public};
    for (size_t n = 0; n < sizeof all / sizeof *all; n++) kmss_key_free(all[n]);
}

/* A child goes on with the handles of its parent, and so does the parent. */
static kmss_batch_item item(kmss_batch_action action, kmss_key *key, uint32_t algorithm) {
    kmss_batch_item one;
    memset(&one, 0, sizeof one);
    one.size = sizeof one;
    one.action = action;
    one.key = key;
    one.algorithm = algorithm;
    one.data = text;
    one.data_len = sizeof text;
    return one;
}

static void freed(kmss_batch_result *results, size_t len) {
    for (size_t n = 0; n < len; n++) {
        kmss_free(results[n].out);
        kmss_error_free(results[n].error);
    }
}

static void batches(void) {
    kmss_key *private = made("many", "ec:p256"), *public = found("many", KMSS_KEY_PUBLIC), *hmac = made("many-hmac", "hmac:256");
    kmss_sign_options der;
    memset(&der, 0, sizeof der);
    der.size = sizeof der;
    der.flags = KMSS_SIGN_DER;
    kmss_batch_result results[8], again[8];
    memset(results, 0xff, sizeof results);
    /* What is done by itself, and what fails in nobody's way. */
    kmss_batch_item items[8] = {
        item(KMSS_BATCH_SIGN, private, KMSS_ECDSA_SHA256),  item(KMSS_BATCH_MAC, hmac, KMSS_HMAC_SHA256),
        item(KMSS_BATCH_ENCRYPT, aes, KMSS_MESSAGE_USUAL),  item(KMSS_BATCH_SIGN, private, KMSS_ECDSA_SHA256),
        item(KMSS_BATCH_SIGN, aes, KMSS_ECDSA_SHA256),      item(KMSS_BATCH_SIGN, NULL, KMSS_ECDSA_SHA256),
        item(KMSS_BATCH_DECRYPT, NULL, 0),                  item(99, private, 0)};
    items[2].context = context;
    items[2].context_len = 2;
    items[3].sign_options = &der;
    STATUS(KMSS_OK, kmss_batch(session, items, 8, results, &error));
    CHECK(results[0].status == KMSS_OK && results[0].out_len == 64 && results[0].error == NULL);
    CHECK(results[1].status == KMSS_OK && results[1].out_len == 32);
    CHECK(results[2].status == KMSS_OK && results[2].out_len == sizeof text + KMSS_MESSAGE_OVERHEAD);
    CHECK(results[3].status == KMSS_OK && results[3].out[0] == 0x30);
    const kmss_status failed[] = {KMSS_KEY_MISMATCH, KMSS_INVALID_HANDLE, KMSS_INVALID_DATA, KMSS_INVALID_ARGUMENT};
    for (size_t n = 0; n < 4; n++) {
        const kmss_batch_result *one = &results[4 + n];
        CHECK(one->status == failed[n] && one->out == NULL && one->out_len == 0);
        CHECK(kmss_error_status(one->error) == failed[n] && strlen(kmss_error_message(one->error)) > 5);
    }
    /* The other way round; each item with what the one before made. */
    const uint8_t *other = (const uint8_t *)"others";
    kmss_batch_item back[6] = {
        item(KMSS_BATCH_VERIFY, public, KMSS_ECDSA_SHA256), item(KMSS_BATCH_VERIFY_MAC, hmac, KMSS_HMAC_SHA256),
        item(KMSS_BATCH_DECRYPT, NULL, 0),                  item(KMSS_BATCH_VERIFY, public, KMSS_ECDSA_SHA256),
        item(KMSS_BATCH_VERIFY, public, KMSS_ECDSA_SHA256), item(KMSS_BATCH_VERIFY_MAC, hmac, KMSS_HMAC_SHA256)};
    for (size_t n = 0; n < 6; n++) {
        const kmss_batch_result *from = &results[n < 4 ? n : n - 4];
        if (n == 2) {
            back[n].data = from->out;
            back[n].data_len = from->out_len;
            back[n].context = turned;
            back[n].context_len = 2;
        } else {
            back[n].signature = from->out;
            back[n].signature_len = from->out_len;
        }
        if (n >= 4) {
            back[n].data = other;
            back[n].data_len = 6;
        }
    }
    back[3].sign_options = &der;
    STATUS(KMSS_OK, kmss_batch(session, back, 6, again, &error));
    for (size_t n = 0; n < 4; n++) CHECK(again[n].status == KMSS_OK && (n == 2) == (again[n].out != NULL));
    CHECK(again[2].out_len == sizeof text && memcmp(again[2].out, text, sizeof text) == 0);
    CHECK(again[4].status == KMSS_SIGNATURE_INVALID && again[5].status == KMSS_SIGNATURE_INVALID);
    freed(again, 6);
    /* What cannot be meant is not begun. */
    static kmss_batch_result many[KMSS_BATCH_ITEMS + 1];
    STATUS(KMSS_INVALID_ARGUMENT, kmss_batch(session, items, KMSS_BATCH_ITEMS + 1, many, &error));
    STATUS(KMSS_INVALID_ARGUMENT, kmss_batch(session, NULL, 1, again, &error));
    CHECK(again[0].status == KMSS_INVALID_ARGUMENT && again[0].out == NULL && again[0].error == NULL);
    STATUS(KMSS_INVALID_ARGUMENT, kmss_batch(session, items, 1, NULL, &error));
    STATUS(KMSS_INVALID_HANDLE, kmss_batch(NULL, items, 1, again, &error));
    STATUS(KMSS_OK, kmss_batch(session, NULL, 0, NULL, &error));
    back[1].size = sizeof back[1] + 8;
    STATUS(KMSS_INVALID_ARGUMENT, kmss_batch(session, back, 2, again, &error));
    back[0].size = 0;
    STATUS(KMSS_INVALID_ARGUMENT, kmss_batch(session, back, 1, again, &error));
    /* Nor is what an action has nothing to do with overlooked. */
    kmss_batch_item strange[4] = {item(KMSS_BATCH_MAC, hmac, KMSS_HMAC_SHA256), item(KMSS_BATCH_SIGN, private, KMSS_ECDSA_SHA256),
                                  item(KMSS_BATCH_SIGN, private, KMSS_ECDSA_SHA256), item(KMSS_BATCH_DECRYPT, aes, 0)};
    strange[0].sign_options = &der;
    strange[1].signature = text;
    strange[1].signature_len = 3;
    strange[2].context = context;
    strange[2].context_len = 1;
    STATUS(KMSS_OK, kmss_batch(session, strange, 4, again, &error));
    for (size_t n = 0; n < 4; n++) CHECK(again[n].status == KMSS_INVALID_ARGUMENT);
    freed(again, 4);
    freed(results, 8);
    kmss_key_free(private);
    kmss_key_free(public);
    kmss_key_free(hmac);
}

static void forked(void) {
    uint8_t sealed[128], *kept = NULL;
    size_t len = sizeof sealed, kept_len = 0;
    STATUS(KMSS_OK, kmss_encrypt_alloc(session, aes, 0, context, 2, text, sizeof text, &kept, &kept_len, &error));
    pid_t child = fork();
    CHECK(child >= 0);
    STATUS(KMSS_OK, kmss_encrypt(session, aes, 0, context, 2, text, sizeof text, sealed, &len, &error));
    uint8_t plain[64];
    size_t plain_len = sizeof plain;
    STATUS(KMSS_OK, kmss_decrypt(session, context, 2, kept, kept_len, plain, &plain_len, &error));
    kmss_free(kept);
    if (child == 0) {
        kmss_logout(session);
        _exit(0);
    }
    int ended = -1;
    CHECK(waitpid(child, &ended, 0) == child && WIFEXITED(ended) && WEXITSTATUS(ended) == 0);
}

int main(int argc, char **argv) {
    CHECK(argc == 3);
    const char *pin = getenv("KMSS_PIN");
    CHECK(pin != NULL);
    kmss *home = NULL;
    STATUS(KMSS_OK, kmss_open(argv[1], &home, &error));
    STATUS(KMSS_OK, kmss_login(home, argv[2], (const uint8_t *)pin, strlen(pin), &session, &error));
    aes = made("aes", "aes:256");
    STATUS(KMSS_ALREADY_EXISTS, kmss_key_generate(session, "aes", "aes:256", NULL, NULL, &error));
    STATUS(KMSS_INVALID_ARGUMENT, kmss_key_generate(session, "x", "aes:7", NULL, NULL, &error));
    messages();
    data_keys();
    signatures();
    macs();
    wrapping();
    batches();
    forked();
    kmss_key_free(aes);
    kmss_logout(session);
    kmss_close(home);
    puts("messages hold");
    return 0;
}
