/* abi_backup HOME TOKEN OTHER ARCHIVE: archives of a tenant through the C interface. HOME has TOKEN with keys; OTHER is a home of the
 * same suite, without that token. */
#include "abi.h"

static const char *archive;

static kmss *opened(const char *path) {
    kmss *home = NULL;
    STATUS(KMSS_OK, kmss_open(path, &home, &error));
    return home;
}

static kmss_session *logged_in(kmss *home, const char *token) {
    const char *pin = getenv("KMSS_PIN");
    CHECK(pin != NULL);
    kmss_session *session = NULL;
    STATUS(KMSS_OK, kmss_login(home, token, (const uint8_t *)pin, strlen(pin), &session, &error));
    return session;
}

/* Restores, and looks for what is said of it. */
static void restores(kmss *home, const char *const *shares, uint32_t flags, const char *said) {
    kmss_restore_options how;
    char *json = NULL;
    memset(&how, 0, sizeof how);
    how.size = sizeof how;
    how.flags = flags;
    STATUS(KMSS_OK, kmss_backup_restore(home, archive, shares, 2, &how, &json, &error));
    if (strstr(json, said) == NULL || strstr(json, "\"partial\":false") == NULL) FAIL("no `%s` in %s", said, json);
    kmss_free(json);
}

int main(int argc, char **argv) {
    CHECK(argc == 5);
    archive = argv[4];
    kmss *home = opened(argv[1]), *other = opened(argv[3]);
    const char *custodians[] = {"ann", "bob", "eve"}, *nobody[] = {"ann", NULL};
    char *shares[3] = {(char *)1, (char *)1, (char *)1}, *json = NULL;
    uint64_t newest = 9, least = 9;

    STATUS(KMSS_OK, kmss_backup_epochs(home, NULL, &newest, &least, &error));
    CHECK(newest == 0 && least == 0);
    STATUS(KMSS_INVALID_ARGUMENT, kmss_backup_create(home, NULL, archive, custodians, 3, 1, shares, NULL, &error));
    CHECK(shares[0] == NULL && shares[1] == NULL && shares[2] == NULL);
    STATUS(KMSS_INVALID_ARGUMENT, kmss_backup_create(home, NULL, archive, custodians, 3, 4, shares, NULL, &error));
    STATUS(KMSS_INVALID_ARGUMENT, kmss_backup_create(home, NULL, archive, custodians, 3, 258, shares, NULL, &error));
    STATUS(KMSS_INVALID_ARGUMENT, kmss_backup_create(home, NULL, archive, nobody, 2, 2, shares, NULL, &error));
    STATUS(KMSS_INVALID_ARGUMENT, kmss_backup_create(home, NULL, archive, NULL, 0, 2, shares, NULL, &error));
    STATUS(KMSS_INVALID_ARGUMENT, kmss_backup_create(home, NULL, archive, custodians, 3, 2, NULL, NULL, &error));
    STATUS(KMSS_INVALID_ARGUMENT, kmss_backup_create(home, NULL, NULL, custodians, 3, 2, shares, NULL, &error));
    STATUS(KMSS_INVALID_HANDLE, kmss_backup_create(NULL, NULL, archive, custodians, 3, 2, shares, NULL, &error));
    STATUS(KMSS_NOT_FOUND, kmss_backup_create(home, "nobody's", archive, custodians, 3, 2, shares, NULL, &error));
    STATUS(KMSS_STORAGE, kmss_backup_create(home, NULL, "/nowhere/at/all", custodians, 3, 2, shares, NULL, &error));
    STATUS(KMSS_STORAGE, kmss_backup_inspect(archive, &json, &error));

    STATUS(KMSS_OK, kmss_backup_create(home, NULL, archive, custodians, 3, 2, shares, &json, &error));
    CHECK(strstr(json, "\"epoch\":1") != NULL && strstr(json, "share of") == NULL);
    kmss_free(json);
    CHECK(strstr(shares[0], "custodian: ann") && strstr(shares[2], "custodian: eve"));
    char *again[3] = {NULL, NULL, NULL};
    STATUS(KMSS_ALREADY_EXISTS, kmss_backup_create(home, NULL, archive, custodians, 3, 2, again, NULL, &error));
    /* What a crash left is told of, and left alone. */
    char other_archive[4096], left[4200];
    snprintf(other_archive, sizeof other_archive, "%s.other", archive);
    snprintf(left, sizeof left, "%s.partial", other_archive);
    FILE *partial = fopen(left, "wb");
    CHECK(partial != NULL && fclose(partial) == 0);
    STATUS(KMSS_ALREADY_EXISTS, kmss_backup_create(home, NULL, other_archive, custodians, 3, 2, again, NULL, &error));
    CHECK(remove(left) == 0);
    STATUS(KMSS_OK, kmss_backup_inspect(archive, &json, &error));
    CHECK(strstr(json, "\"needed\":2") && strstr(json, "\"shares\":3") && strstr(json, "\"tenant\":\"default\""));
    kmss_free(json);
    STATUS(KMSS_INVALID_ARGUMENT, kmss_backup_inspect(archive, NULL, &error));

    /* Any two open it, one does not, and what is no share is said so. */
    const char *two[] = {shares[2], shares[0]}, *twice[] = {shares[1], shares[1]}, *strange[] = {shares[0], "a share"};
    const char *void_[] = {shares[0], NULL};
    STATUS(KMSS_OK, kmss_backup_verify(archive, two, 2, &json, &error));
    CHECK(strstr(json, "\"holds\":{") != NULL && strstr(json, argv[2]) != NULL);
    kmss_free(json);
    STATUS(KMSS_OK, kmss_backup_verify(archive, two, 2, NULL, &error));
    STATUS(KMSS_INVALID_ARGUMENT, kmss_backup_verify(archive, two, 1, NULL, &error));
    STATUS(KMSS_INVALID_ARGUMENT, kmss_backup_verify(archive, twice, 2, NULL, &error));
    STATUS(KMSS_INVALID_ARGUMENT, kmss_backup_verify(archive, strange, 2, NULL, &error));
    STATUS(KMSS_INVALID_ARGUMENT, kmss_backup_verify(archive, void_, 2, NULL, &error));
    STATUS(KMSS_INVALID_ARGUMENT, kmss_backup_verify(archive, NULL, 0, NULL, &error));

    /* Told, then done, then nothing left to do. */
    restores(other, two, KMSS_RESTORE_DRY_RUN, "\"fate\":\"restored\"");
    kmss_session *session = NULL;
    CHECK(kmss_login(other, argv[2], (const uint8_t *)"x", 1, &session, NULL) == KMSS_NOT_FOUND);
    kmss_restore_options how;
    memset(&how, 0, sizeof how);
    how.size = sizeof how;
    how.least_epoch = 2;
    STATUS(KMSS_DENIED, kmss_backup_restore(other, archive, two, 2, &how, NULL, &error));
    how.least_epoch = 0;
    how.flags = 2;
    STATUS(KMSS_INVALID_ARGUMENT, kmss_backup_restore(other, archive, two, 2, &how, NULL, &error));
    STATUS(KMSS_INVALID_ARGUMENT, kmss_backup_restore(other, archive, two, 1, NULL, NULL, &error));
    restores(other, two, 0, "\"fate\":\"restored\"");
    restores(other, two, 0, "\"fate\":\"kept\"");

    /* What one home encrypted the other one decrypts. */
    uint8_t sealed[256], plain[16];
    size_t len = sizeof sealed, plain_len = sizeof plain;
    kmss_key *key = NULL;
    session = logged_in(home, argv[2]);
    STATUS(KMSS_OK, kmss_find_key(session, "box", KMSS_KEY_SECRET, &key, &error));
    STATUS(KMSS_OK, kmss_encrypt(session, key, 0, NULL, 0, (const uint8_t *)"carried", 7, sealed, &len, &error));
    kmss_key_free(key);
    kmss_logout(session);
    session = logged_in(other, argv[2]);
    STATUS(KMSS_OK, kmss_decrypt(session, NULL, 0, sealed, len, plain, &plain_len, &error));
    CHECK(plain_len == 7 && memcmp(plain, "carried", 7) == 0);
    kmss_logout(session);

    /* Nothing below an epoch comes back. */
    STATUS(KMSS_INVALID_ARGUMENT, kmss_backup_retire(other, NULL, 3, &error));
    STATUS(KMSS_OK, kmss_backup_retire(other, NULL, 2, &error));
    STATUS(KMSS_DENIED, kmss_backup_restore(other, archive, two, 2, NULL, NULL, &error));
    STATUS(KMSS_OK, kmss_backup_epochs(other, "default", &newest, &least, &error));
    CHECK(newest == 1 && least == 2);
    STATUS(KMSS_OK, kmss_backup_epochs(other, NULL, NULL, NULL, &error));

    /* A changed archive is none. */
    FILE *file = fopen(archive, "r+b");
    CHECK(file != NULL && fseek(file, -20, SEEK_END) == 0);
    int last = fgetc(file);
    CHECK(last != EOF && fseek(file, -20, SEEK_END) == 0 && fputc(last ^ 1, file) != EOF);
    fclose(file);
    STATUS(KMSS_DAMAGED, kmss_backup_verify(archive, two, 2, NULL, &error));
    for (size_t n = 0; n < 3; n++) kmss_free(shares[n]);
    kmss_close(home);
    kmss_close(other);
    puts("archives hold");
    return 0;
}
