/* abi_services HOME TOKEN FOLDER: tokens, compatible formats, sealed files, policies and the audit through the C interface. */
#include "abi.h"
#include <fcntl.h>
#include <unistd.h>

static kmss *home;
static kmss_session *user, *officer;
static const char *token;

static kmss_key *made(const char *name, const char *type, const kmss_key_options *how) {
    kmss_key *key = NULL;
    STATUS(KMSS_OK, kmss_key_generate(user, name, type, how, &key, &error));
    return key;
}

static void tokens(void) {
    static const uint8_t card[] = "4111111111111111";
    uint8_t token[32], value[32];
    size_t len = sizeof token, value_len = sizeof value;
    kmss_token_options how;
    kmss_key *key = made("tokens", "aes:256", NULL);
    memset(&how, 0, sizeof how);
    how.size = sizeof how;
    how.format = "card";
    STATUS(KMSS_OK, kmss_tokenize(user, key, &how, card, 16, token, &len, &error));
    CHECK(len == 16 && memcmp(token, card, 16) != 0);
    STATUS(KMSS_OK, kmss_detokenize(user, key, &how, token, len, value, &value_len, &error));
    CHECK(value_len == 16 && memcmp(value, card, 16) == 0);
    how.flags = KMSS_TOKEN_MASKED;
    char *shown = NULL;
    size_t shown_len = 0;
    STATUS(KMSS_OK, kmss_detokenize_alloc(user, key, &how, token, len, (uint8_t **)&shown, &shown_len, &error));
    CHECK(strcmp(shown + 12, "1111") == 0 && strncmp(shown, "4111", 4) != 0);
    kmss_free(shown);
    STATUS(KMSS_INVALID_ARGUMENT, kmss_tokenize(user, key, &how, card, 16, token, &len, &error));

    how.flags = KMSS_TOKEN_VAULT;
    how.format = "card-bin-last4";
    how.expires_s = 3600;
    len = sizeof token;
    STATUS(KMSS_OK, kmss_tokenize(user, key, &how, card, 16, token, &len, &error));
    CHECK(memcmp(token, card, 6) == 0 && memcmp(token + 12, card + 12, 4) == 0);
    value_len = sizeof value;
    STATUS(KMSS_OK, kmss_detokenize(user, key, &how, token, len, value, &value_len, &error));
    CHECK(memcmp(value, card, 16) == 0);
    how.flags = 0;
    STATUS(KMSS_INVALID_ARGUMENT, kmss_tokenize(user, key, &how, card, 16, token, &len, &error));
    how.expires_s = 0;
    how.format = "no such format";
    STATUS(KMSS_INVALID_ARGUMENT, kmss_tokenize(user, key, &how, card, 16, token, &len, &error));
    how.format = NULL;
    STATUS(KMSS_INVALID_ARGUMENT, kmss_tokenize(user, key, &how, card, 16, token, &len, &error));
    STATUS(KMSS_INVALID_ARGUMENT, kmss_tokenize(user, key, NULL, card, 16, token, &len, &error));
    kmss_key_free(key);
}

static kmss_status tokenize(kmss_key *key, const kmss_token_options *how, const uint8_t *value, uint8_t *into) {
    size_t len = 16;
    kmss_status got = kmss_tokenize(user, key, how, value, 16, into, &len, NULL);
    CHECK(got != KMSS_OK || len == 16);
    return got;
}

static kmss_status detokenize(kmss_key *key, const kmss_token_options *how, const uint8_t *from, uint8_t *value) {
    size_t len = 16;
    kmss_status got = kmss_detokenize(user, key, how, from, 16, value, &len, NULL);
    CHECK(got != KMSS_OK || len == 16);
    return got;
}

/* Computed tokens of a key that was rotated are for whoever says which version. */
static void tokens_of_versions(void) {
    static const uint8_t card[] = "4111111111111111";
    uint8_t old[16], new[16], value[16];
    uint32_t version = 0;
    kmss_token_options how;
    kmss_key *first = made("turned", "aes:256", NULL), *second = NULL, *former = NULL;
    memset(&how, 0, sizeof how);
    how.size = sizeof how;
    how.format = "card";
    CHECK(tokenize(first, &how, card, old) == KMSS_OK);
    how.key_version = 1;
    CHECK(tokenize(first, &how, card, new) == KMSS_OK && memcmp(new, old, 16) == 0);
    how.key_version = 2;
    CHECK(tokenize(first, &how, card, new) == KMSS_INVALID_ARGUMENT);

    STATUS(KMSS_OK, kmss_key_rotate(user, "turned", 0, &version, &error));
    CHECK(version == 2);
    STATUS(KMSS_OK, kmss_find_key(user, "turned", KMSS_KEY_SECRET, &second, &error));
    STATUS(KMSS_OK, kmss_find_key(user, "turned@1", KMSS_KEY_SECRET, &former, &error));
    how.key_version = 0;
    size_t len = sizeof new;
    kmss_error *error = NULL;
    CHECK(kmss_tokenize(user, second, &how, card, 16, new, &len, &error) == KMSS_INVALID_ARGUMENT);
    CHECK(strstr(kmss_error_message(error), "was rotated") && strstr(kmss_error_message(error), "version 2"));
    kmss_error_free(error);
    CHECK(detokenize(second, &how, old, value) == KMSS_INVALID_ARGUMENT);
    how.flags = KMSS_TOKEN_MASKED;
    CHECK(detokenize(second, &how, old, value) == KMSS_INVALID_ARGUMENT);
    how.flags = 0;
    /* A handle of a former version says it already. */
    CHECK(detokenize(former, &how, old, value) == KMSS_OK && memcmp(value, card, 16) == 0);
    CHECK(detokenize(first, &how, old, value) == KMSS_OK && memcmp(value, card, 16) == 0);

    how.key_version = 2;
    CHECK(tokenize(second, &how, card, new) == KMSS_OK && memcmp(new, old, 16) != 0);
    CHECK(detokenize(second, &how, new, value) == KMSS_OK && memcmp(value, card, 16) == 0);
    how.flags = KMSS_TOKEN_MASKED;
    CHECK(detokenize(second, &how, new, value) == KMSS_OK && memcmp(value, "************1111", 16) == 0);
    how.flags = 0;
    CHECK(detokenize(former, &how, old, value) == KMSS_INVALID_ARGUMENT);
    /* A program made for a KMSS whose struct ended before: what stands behind its struct is not looked at. */
    how.size = offsetof(kmss_token_options, key_version);
    CHECK(tokenize(second, &how, card, new) == KMSS_INVALID_ARGUMENT);
    CHECK(detokenize(former, &how, old, value) == KMSS_OK && memcmp(value, card, 16) == 0);
    how.size = sizeof how;

    how.key_version = 1;
    CHECK(detokenize(former, &how, old, value) == KMSS_OK && memcmp(value, card, 16) == 0);
    CHECK(detokenize(second, &how, old, value) == KMSS_INVALID_ARGUMENT);
    CHECK(tokenize(former, &how, card, new) == KMSS_KEY_STATE);
    /* All versions have one vault. */
    how.flags = KMSS_TOKEN_VAULT;
    CHECK(tokenize(second, &how, card, new) == KMSS_INVALID_ARGUMENT);
    how.key_version = 0;
    CHECK(tokenize(second, &how, card, new) == KMSS_OK);
    CHECK(detokenize(second, &how, new, value) == KMSS_OK && memcmp(value, card, 16) == 0);
    kmss_key_free(first);
    kmss_key_free(second);
    kmss_key_free(former);
}

static void compatible(void) {
    static const uint8_t id[8] = {0x3f, 0xc5, 0x54, 0x54, 1, 2, 3, 4}, secret[] = "sixteen bytes...";
    kmss_key_options how;
    memset(&how, 0, sizeof how);
    how.size = sizeof how;
    how.id = id;
    how.id_len = sizeof id;
    kmss_key *business = made("business", "sm4", &how);
    char *text = NULL, *wrapped = NULL, *json = NULL;
    uint8_t user_id[KMSS_USER_KEY_ID_LEN], mac[32], *plain = NULL;
    size_t len = 0, mac_len = sizeof mac;
    STATUS(KMSS_OK, kmss_business_encrypt(user, business, "11010000", 0, secret, 16, &text, &error));
    CHECK(strlen(text) == 148);
    STATUS(KMSS_OK, kmss_inspect((const uint8_t *)text, strlen(text), &json, &error));
    CHECK(strstr(json, "business-long") != NULL);
    kmss_free(json);
    STATUS(KMSS_OK, kmss_compat_decrypt_alloc(user, (const uint8_t *)text, strlen(text), NULL, NULL, &plain, &len, &error));
    CHECK(len == 16 && memcmp(plain, secret, 16) == 0);
    kmss_free(plain);
    kmss_free(text);
    STATUS(KMSS_OK, kmss_user_key_make(user, business, KMSS_USER_KEY_SM4, "11010000", user_id, &wrapped, &error));
    STATUS(KMSS_OK, kmss_user_encrypt(user, user_id, wrapped, NULL, secret, 16, &text, &error));
    CHECK(strlen(text) == 116);
    STATUS(KMSS_INVALID_ARGUMENT, kmss_compat_decrypt_alloc(user, (uint8_t *)text, 116, NULL, NULL, &plain, &len, &error));
    STATUS(KMSS_OK, kmss_compat_decrypt_alloc(user, (uint8_t *)text, 116, user_id, wrapped, &plain, &len, &error));
    CHECK(len == 16 && memcmp(plain, secret, 16) == 0);
    kmss_free(plain);
    kmss_free(text);
    kmss_free(wrapped);
    STATUS(KMSS_OK, kmss_user_key_make(user, business, KMSS_USER_KEY_HMAC_SM3, "11010000", user_id, &wrapped, &error));
    STATUS(KMSS_OK, kmss_user_mac(user, user_id, wrapped, KMSS_USER_KEY_HMAC_SM3, secret, 16, mac, &mac_len, &error));
    CHECK(mac_len == 32);
    STATUS(KMSS_INVALID_DATA, kmss_compat_decrypt_alloc(user, secret, 16, NULL, NULL, &plain, &len, &error));
    STATUS(KMSS_INVALID_ARGUMENT, kmss_user_encrypt(user, NULL, NULL, NULL, secret, 16, &text, &error));
    kmss_free(wrapped);
    kmss_key_free(business);
}

static int same(const char *one, const char *other) {
    static char a[300000], b[300000];
    FILE *first = fopen(one, "rb"), *second = fopen(other, "rb");
    CHECK(first != NULL && second != NULL);
    size_t n = fread(a, 1, sizeof a, first), m = fread(b, 1, sizeof b, second);
    fclose(first);
    fclose(second);
    return n == m && memcmp(a, b, n) == 0;
}

static void files(const char *folder) {
    static const size_t sizes[] = {0, 1, 65536, 65537, 200000};
    static const kmss_pair context[] = {{"file", "statement"}};
    kmss_key *keys[] = {made("file-1", "aes:256", NULL), made("file-2", "sm4", NULL)};
    kmss_seal_options how;
    memset(&how, 0, sizeof how);
    how.size = sizeof how;
    how.keys = keys;
    how.keys_len = 2;
    how.context = context;
    how.context_len = 1;
    char plain[512], sealed[512], opened[512];
    snprintf(plain, sizeof plain, "%s/plain", folder);
    snprintf(sealed, sizeof sealed, "%s/sealed", folder);
    snprintf(opened, sizeof opened, "%s/opened", folder);
    for (size_t n = 0; n < sizeof sizes / sizeof *sizes; n++) {
        FILE *out = fopen(plain, "wb");
        for (size_t at = 0; at < sizes[n]; at++) fputc((int)(at * 7 % 251), out);
        fclose(out);
        how.algorithm = n % 2 ? KMSS_FILE_CHACHA20_POLY1305 : KMSS_FILE_AES_256_GCM;
        STATUS(KMSS_OK, kmss_file_seal(user, &how, plain, sealed, &error));
        STATUS(KMSS_OK, kmss_file_open(user, context, 1, sealed, opened, &error));
        CHECK(same(plain, opened));
    }
    STATUS(KMSS_INVALID_DATA, kmss_file_open(user, NULL, 0, sealed, opened, &error));
    STATUS(KMSS_INVALID_DATA, kmss_file_open(user, context, 1, plain, opened, &error));
    STATUS(KMSS_STORAGE, kmss_file_open(user, context, 1, "/nowhere", opened, &error));
    CHECK(truncate(sealed, 150000) == 0);
    CHECK(unlink(opened) == 0);
    STATUS(KMSS_INVALID_DATA, kmss_file_open(user, context, 1, sealed, opened, &error));
    CHECK(access(opened, F_OK) != 0);

    /* By descriptors. */
    int from = open(plain, O_RDONLY), to = open(sealed, O_RDWR | O_TRUNC);
    STATUS(KMSS_OK, kmss_file_seal_fd(user, &how, from, to, &error));
    CHECK(lseek(to, 0, SEEK_SET) == 0);
    int back = open(opened, O_RDWR | O_CREAT | O_TRUNC, 0600);
    STATUS(KMSS_OK, kmss_file_open_fd(user, context, 1, to, back, &error));
    CHECK(same(plain, opened));
    STATUS(KMSS_INVALID_ARGUMENT, kmss_file_open_fd(user, context, 1, -1, back, &error));
    close(from);
    close(to);
    close(back);
    how.keys_len = 0;
    STATUS(KMSS_INVALID_ARGUMENT, kmss_file_seal(user, &how, plain, sealed, &error));
    kmss_key_free(keys[0]);
    kmss_key_free(keys[1]);
}

struct seen {
    int count;
    char last[64];
};

static int see(void *user_data, const char *record, size_t len, const char *segment) {
    struct seen *seen = user_data;
    char text[4096] = {0};
    memcpy(text, record, len < sizeof text - 1 ? len : sizeof text - 1);
    const char *seq = strstr(text, "\"seq\":");
    CHECK(seq != NULL && segment[0] != 0);
    snprintf(seen->last, sizeof seen->last, "%s:%ld", segment, strtol(seq + 6, NULL, 10));
    return ++seen->count == 1000;
}

static void policies(void) {
    static const char text[] = "deny anyone to sign key:blocked\nallow anyone to use any key\n";
    char *json = NULL;
    uint8_t out[64];
    size_t len = sizeof out;
    kmss_key *blocked = made("blocked", "ec:p256", NULL);
    STATUS(KMSS_NOT_LOGGED_IN, kmss_policy_apply(user, NULL, "test", (const uint8_t *)text, strlen(text), 0, NULL, &error));
    STATUS(KMSS_INVALID_ARGUMENT, kmss_policy_apply(officer, NULL, "test", (const uint8_t *)"allow nonsense", 14, 0, NULL, &error));
    STATUS(KMSS_OK, kmss_policy_apply(officer, NULL, "test", (const uint8_t *)text, strlen(text), 0, &json, &error));
    CHECK(strstr(json, "\"changed\":true") != NULL);
    kmss_free(json);
    kmss_error *error = NULL;
    CHECK(kmss_sign(user, blocked, KMSS_ECDSA_SHA256, NULL, out, 1, out, &len, &error) == KMSS_DENIED);
    CHECK(kmss_error_rule(error)[0] != 0);
    kmss_error_free(error);

    kmss_audit_filter filter;
    struct seen seen = {0, ""};
    memset(&filter, 0, sizeof filter);
    filter.size = sizeof filter;
    filter.outcome = "denied";
    filter.action = "sign";
    filter.token = token;
    STATUS(KMSS_OK, kmss_audit_export(home, &filter, see, &seen, &error));
    CHECK(seen.count == 1);
    STATUS(KMSS_OK, kmss_policy_explain(home, seen.last, NULL, 0, &json, &error));
    CHECK(strstr(json, "\"decision\":\"deny\"") != NULL);
    kmss_free(json);
    STATUS(KMSS_OK, kmss_policy_explain(home, seen.last, (const uint8_t *)"allow anyone to use any key\n", 28, &json, &error));
    CHECK(strstr(json, "\"decision\":\"allow\"") != NULL);
    kmss_free(json);
    STATUS(KMSS_INVALID_ARGUMENT, kmss_audit_export(home, &filter, NULL, NULL, &error));
    STATUS(KMSS_OK, kmss_policy_remove(officer, NULL, "test", 0, &error));
    STATUS(KMSS_NOT_FOUND, kmss_policy_remove(officer, NULL, "test", 0, &error));
    kmss_key_free(blocked);
}

int main(int argc, char **argv) {
    CHECK(argc == 4);
    token = argv[2];
    const char *pin = getenv("KMSS_PIN"), *so_pin = getenv("KMSS_SO_PIN");
    CHECK(pin != NULL && so_pin != NULL);
    STATUS(KMSS_OK, kmss_open(argv[1], &home, &error));
    STATUS(KMSS_OK, kmss_login(home, argv[2], (const uint8_t *)pin, strlen(pin), &user, &error));
    STATUS(KMSS_OK, kmss_login_officer(home, argv[2], (const uint8_t *)so_pin, strlen(so_pin), &officer, &error));
    tokens();
    tokens_of_versions();
    compatible();
    files(argv[3]);
    policies();
    kmss_logout(user);
    kmss_logout(officer);
    kmss_close(home);
    puts("services hold");
    return 0;
}
