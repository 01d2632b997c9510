/* abi_import HOME TOKEN begin NAME TYPE DAYS FILE: makes a wrapping key, whose public half goes into FILE.
 * abi_import HOME TOKEN finish NAME FILE TYPE NEW STATUS [keep|left|BACKEND]: takes in the key NEW that FILE has, wrapped under it, or
 *   fails so; kept in BACKEND, or where the wrapping key cannot be destroyed (left).
 * abi_import HOME TOKEN child SEED: a pair follows from SEED, where SEED is, and nowhere else.
 * abi_import HOME TOKEN hostile: what cannot be meant. */
#include "abi.h"

static kmss_session *user;

static void begin(char **args) {
    uint8_t *public = NULL;
    size_t len = 0;
    STATUS(KMSS_OK, kmss_import_begin_alloc(user, args[0], args[1], (uint32_t)atoi(args[2]), &public, &len, &error));
    FILE *file = fopen(args[3], "wb");
    CHECK(file != NULL && fwrite(public, 1, len, file) == len);
    fclose(file);
    kmss_free(public);
    STATUS(KMSS_ALREADY_EXISTS, kmss_import_begin_alloc(user, args[0], args[1], 1, &public, &len, &error));
    CHECK(public == NULL && len == 0);
}

static void finish(char **args, const char *extra) {
    int keep = extra != NULL && strcmp(extra, "keep") == 0, left = extra != NULL && strcmp(extra, "left") == 0;
    kmss_key_options options;
    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    options.backend = keep || left ? NULL : extra;
    static uint8_t wrapped[8192];
    FILE *file = fopen(args[1], "rb");
    CHECK(file != NULL);
    size_t len = fread(wrapped, 1, sizeof wrapped, file);
    fclose(file);
    kmss_status wanted = (kmss_status)atoi(args[4]);
    kmss_import_options how;
    memset(&how, 0, sizeof how);
    how.size = sizeof how;
    how.flags = keep ? KMSS_IMPORT_KEEP : 0;
    kmss_key *key = NULL, *half = NULL;
    if (left) {
        kmss_error *error = NULL;
        CHECK(kmss_import_finish(user, args[0], &how, wrapped, len, args[2], args[3], &options, &key, &error) == wanted);
        CHECK(strstr(kmss_error_message(error), "the key came in") != NULL && key == NULL);
        kmss_error_free(error);
        CHECK(kmss_find_key(user, args[3], KMSS_KEY_SECRET, &key, NULL) == KMSS_OK);
        kmss_key_free(key);
        return;
    }
    STATUS(wanted, kmss_import_finish(user, args[0], &how, wrapped, len, args[2], args[3], &options, &key, &error));
    if (wanted != KMSS_OK) {
        CHECK(kmss_find_key(user, args[0], KMSS_KEY_PRIVATE, &half, NULL) == (wanted == KMSS_NOT_FOUND ? KMSS_NOT_FOUND : KMSS_OK));
        kmss_key_free(half);
        CHECK(key == NULL && kmss_find_key(user, args[3], KMSS_KEY_PRIVATE, &key, NULL) == KMSS_NOT_FOUND);
        CHECK(kmss_find_key(user, args[3], KMSS_KEY_SECRET, &key, NULL) == KMSS_NOT_FOUND);
        return;
    }
    kmss_key_info info;
    memset(&info, 0, sizeof info);
    info.size = sizeof info;
    STATUS(KMSS_OK, kmss_key_inspect(user, key, &info, &error));
    if (info.class_ == KMSS_KEY_PRIVATE) STATUS(KMSS_OK, kmss_find_key(user, args[3], KMSS_KEY_PUBLIC, &half, &error));
    /* It is used up, or kept. */
    kmss_key *rest = NULL;
    CHECK(kmss_find_key(user, args[0], KMSS_KEY_PRIVATE, &rest, NULL) == (keep ? KMSS_OK : KMSS_NOT_FOUND));
    kmss_key_free(rest);
    CHECK(kmss_find_key(user, args[0], KMSS_KEY_PUBLIC, &rest, NULL) == (keep ? KMSS_OK : KMSS_NOT_FOUND));
    if (keep) kmss_key_free(rest);
    kmss_key_free(half);
    kmss_key_free(key);
}

static void child(const char *name) {
    kmss_key_options options;
    kmss_key *seed = NULL;
    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    STATUS(KMSS_OK, kmss_find_key(user, name, KMSS_KEY_SECRET, &seed, &error));
    options.backend = "nowhere";
    STATUS(KMSS_UNSUPPORTED, kmss_derive_child(user, seed, "p256", "m/1", "child", &options, NULL, &error));
    options.backend = "soft";
    STATUS(KMSS_OK, kmss_derive_child(user, seed, "p256", "m/1", "child", &options, NULL, &error));
    kmss_key_free(seed);
}

static kmss_status fails(const char *with, const kmss_import_options *how, const uint8_t *wrapped, const char *type,
                         const char *name, const kmss_key_options *options) {
    return kmss_import_finish(user, with, how, wrapped, 100, type, name, options, NULL, NULL);
}

static void hostile(void) {
    static const uint8_t some[100];
    uint8_t *public = NULL;
    size_t len = 0;
    kmss_import_options how;
    kmss_key_options options;
    STATUS(KMSS_INVALID_ARGUMENT, kmss_import_begin_alloc(user, "no", NULL, 31, &public, &len, &error));
    STATUS(KMSS_INVALID_ARGUMENT, kmss_import_begin_alloc(user, "no", "rsa:2048", 1, &public, &len, &error));
    STATUS(KMSS_INVALID_ARGUMENT, kmss_import_begin_alloc(user, "no", NULL, 1, NULL, &len, &error));
    STATUS(KMSS_INVALID_ARGUMENT, kmss_import_begin_alloc(user, NULL, NULL, 1, &public, &len, &error));
    STATUS(KMSS_OK, kmss_import_begin_alloc(user, "w", NULL, 0, &public, &len, &error));
    kmss_free(public);
    STATUS(KMSS_OK, kmss_key_generate(user, "rsa", "rsa:2048", NULL, NULL, &error));
    STATUS(KMSS_OK, kmss_key_generate(user, "sm2", "sm2", NULL, NULL, &error));
    memset(&how, 0, sizeof how);
    how.size = sizeof how;
    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    CHECK(fails("w", NULL, some, "aes:256", "new", NULL) == KMSS_INVALID_DATA);
    CHECK(fails("w", NULL, NULL, "aes:256", "new", NULL) == KMSS_INVALID_ARGUMENT);
    CHECK(fails("w", NULL, some, "strange", "new", NULL) == KMSS_INVALID_ARGUMENT);
    CHECK(fails("w", NULL, some, NULL, "new", NULL) == KMSS_INVALID_ARGUMENT);
    CHECK(fails("w", NULL, some, "aes:256", NULL, NULL) == KMSS_INVALID_ARGUMENT);
    CHECK(fails("w", NULL, some, "aes:256", "rsa", NULL) == KMSS_ALREADY_EXISTS);
    CHECK(fails(NULL, NULL, some, "aes:256", "new", NULL) == KMSS_INVALID_ARGUMENT);
    CHECK(fails("nothing", NULL, some, "aes:256", "new", NULL) == KMSS_NOT_FOUND);
    /* Keys that do more are not used up. */
    CHECK(fails("rsa", NULL, some, "aes:256", "new", NULL) == KMSS_KEY_MISMATCH);
    CHECK(fails("sm2", NULL, some, "sm2", "new", NULL) == KMSS_KEY_MISMATCH);
    options.flags = KMSS_KEY_SESSION;
    CHECK(fails("w", NULL, some, "aes:256", "new", &options) == KMSS_INVALID_ARGUMENT);
    options.flags = 0;
    options.backend = "nowhere";
    CHECK(fails("w", NULL, some, "aes:256", "new", &options) == KMSS_UNSUPPORTED);
    options.backend = "soft";
    CHECK(fails("w", NULL, some, "aes:256", "new", &options) == KMSS_INVALID_DATA);
    CHECK(fails("w", NULL, some, "hd-seed", "new", NULL) == KMSS_INVALID_DATA);
    how.aes_bits = 64;
    CHECK(fails("w", &how, some, "aes:256", "new", NULL) == KMSS_INVALID_ARGUMENT);
    how.aes_bits = 0;
    how.hash = 99;
    CHECK(fails("w", &how, some, "aes:256", "new", NULL) == KMSS_INVALID_ARGUMENT);
    how.hash = 0;
    how.flags = 2;
    CHECK(fails("w", &how, some, "aes:256", "new", NULL) == KMSS_INVALID_ARGUMENT);
    /* A wrapping key that nothing came in with is still there, and does nothing else. */
    kmss_key *wrapping = NULL, *key = NULL;
    STATUS(KMSS_OK, kmss_find_key(user, "w", KMSS_KEY_PRIVATE, &wrapping, &error));
    STATUS(KMSS_UNSUPPORTED, kmss_unwrap(user, wrapping, KMSS_WRAP_RSA_OAEP_SHA256, some, 100, "aes:256", "new", NULL, &key, &error));
    kmss_key_free(wrapping);
    /* What is made of a key is where that key is. */
    STATUS(KMSS_OK, kmss_key_generate(user, "kek", "aes:256", NULL, &wrapping, &error));
    STATUS(KMSS_INVALID_DATA, kmss_unwrap(user, wrapping, KMSS_WRAP_KWP, some, 40, "hd-seed", "new", &options, &key, &error));
    options.backend = "nowhere";
    STATUS(KMSS_UNSUPPORTED, kmss_unwrap(user, wrapping, KMSS_WRAP_KWP, some, 40, "hd-seed", "new", &options, &key, &error));
    kmss_key_free(wrapping);
}

int main(int argc, char **argv) {
    CHECK(argc >= 4);
    const char *pin = getenv("KMSS_PIN");
    CHECK(pin != NULL);
    kmss *home = NULL;
    STATUS(KMSS_OK, kmss_open(argv[1], &home, &error));
    STATUS(KMSS_OK, kmss_login(home, argv[2], (const uint8_t *)pin, strlen(pin), &user, &error));
    if (strcmp(argv[3], "begin") == 0 && argc == 8) begin(argv + 4);
    else if (strcmp(argv[3], "finish") == 0 && argc >= 9) finish(argv + 4, argc == 10 ? argv[9] : NULL);
    else if (strcmp(argv[3], "child") == 0 && argc == 5) child(argv[4]);
    else if (strcmp(argv[3], "hostile") == 0) hostile();
    else FAIL("no such verb");
    kmss_logout(user);
    kmss_close(home);
    puts("imports hold");
    return 0;
}
