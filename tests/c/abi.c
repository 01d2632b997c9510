/* abi HOME TOKEN KEY MODULE: the C interface against its header, linked with the file that PKCS#11 programs load; then
 * both faces in one process. */
#include "p11.h"
#include <pthread.h>

#include "abi.h"

static const uint8_t message[] = "signed through the C interface";
static kmss_session *session;
static kmss_key *private, *public;

static size_t sign(uint8_t *signature, size_t room) {
    size_t size = room;
    STATUS(KMSS_OK, kmss_sign(session, private, KMSS_ECDSA_SHA256, NULL, message, sizeof message, signature, &size, &error));
    return size;
}

static void *sign_on(void *unused) {
    uint8_t signature[64];
    (void)unused;
    for (int n = 0; n < 20; n++) {
        size_t size = sign(signature, sizeof signature);
        STATUS(KMSS_OK, kmss_verify(session, public, KMSS_ECDSA_SHA256, NULL, message, sizeof message, signature, size, &error));
    }
    return NULL;
}

/* Wrong arguments come back as a status, never as a crash. */
static void hostile(kmss *home, const uint8_t *pin, size_t pin_size) {
    kmss_session *none = NULL;
    kmss_key *key = NULL;
    size_t size = 64;
    uint8_t out[64];
    STATUS(KMSS_INVALID_ARGUMENT, kmss_open("/nowhere", NULL, &error));
    STATUS(KMSS_INVALID_HANDLE, kmss_login((kmss *)0x10fff0, "abi", pin, pin_size, &none, &error));
    STATUS(KMSS_INVALID_ARGUMENT, kmss_login(home, NULL, pin, pin_size, &none, &error));
    STATUS(KMSS_INVALID_ARGUMENT, kmss_login(home, "abi", NULL, 5, &none, &error));
    STATUS(KMSS_NOT_FOUND, kmss_login(home, "no such token", pin, pin_size, &none, &error));
    STATUS(KMSS_PIN_INCORRECT, kmss_login(home, "abi", (const uint8_t *)"wrong-pin", 9, &none, &error));
    STATUS(KMSS_NOT_FOUND, kmss_find_key(session, "no such key", KMSS_KEY_PRIVATE, &key, &error));
    STATUS(KMSS_INVALID_ARGUMENT, kmss_find_key(session, "abi", 77, &key, &error));
    STATUS(KMSS_INVALID_ARGUMENT, kmss_find_key(session, "\xff\xfe", KMSS_KEY_PRIVATE, &key, &error));
    STATUS(KMSS_INVALID_HANDLE, kmss_sign(session, NULL, KMSS_ECDSA_SHA256, NULL, message, 1, out, &size, &error));
    STATUS(KMSS_INVALID_HANDLE, kmss_sign(NULL, private, KMSS_ECDSA_SHA256, NULL, message, 1, out, &size, &error));
    STATUS(KMSS_INVALID_ARGUMENT, kmss_sign(session, private, 4711, NULL, message, 1, out, &size, &error));
    STATUS(KMSS_INVALID_ARGUMENT, kmss_sign(session, private, KMSS_ECDSA_SHA256, NULL, NULL, 5, out, &size, &error));
    STATUS(KMSS_INVALID_ARGUMENT, kmss_sign(session, private, KMSS_ECDSA_SHA256, NULL, message, 1, out, NULL, &error));
    STATUS(KMSS_KEY_MISMATCH, kmss_sign(session, private, KMSS_RSA_PKCS1_SHA256, NULL, message, 1, out, &size, &error));

    /* Nobody has to ask why; and what is no error object says nothing. */
    CHECK(kmss_find_key(session, "no such key", KMSS_KEY_PRIVATE, &key, NULL) == KMSS_NOT_FOUND);
    CHECK(kmss_error_message(NULL)[0] == 0 && kmss_error_cause((kmss_error *)0x40fff0)[0] == 0);
    CHECK(kmss_error_status(NULL) == KMSS_INVALID_HANDLE && kmss_error_rule(NULL)[0] == 0);
    kmss_error_free(NULL);
    kmss_free(NULL);
    kmss_free((void *)0x50fff0);

    kmss_key_free(NULL);
    kmss_logout(NULL);
    kmss_close(NULL);
    kmss_key_free((kmss_key *)0x20fff0);
}

int main(int argc, char **argv) {
    CHECK(argc == 5);
    const char *pin = getenv("KMSS_PIN");
    CHECK(pin != NULL);
    const uint8_t *pin_bytes = (const uint8_t *)pin;
    kmss *home = NULL;
    CHECK(kmss_version()[0] >= '0' && kmss_version()[0] <= '9');
    STATUS(KMSS_OK, kmss_open(argv[1], &home, &error));
    STATUS(KMSS_OK, kmss_login(home, argv[2], pin_bytes, strlen(pin), &session, &error));
    STATUS(KMSS_OK, kmss_find_key(session, argv[3], KMSS_KEY_PRIVATE, &private, &error));
    STATUS(KMSS_OK, kmss_find_key(session, argv[3], KMSS_KEY_PUBLIC, &public, &error));

    /* A size query, a buffer too small, a buffer that fits. */
    uint8_t signature[64];
    size_t size = 0;
    STATUS(KMSS_OK, kmss_sign(session, private, KMSS_ECDSA_SHA256, NULL, message, sizeof message, NULL, &size, &error));
    CHECK(size == 64);
    size = 63;
    STATUS(KMSS_BUFFER_TOO_SMALL, kmss_sign(session, private, KMSS_ECDSA_SHA256, NULL, message, sizeof message, signature, &size, &error));
    CHECK(size == 64);
    CHECK(sign(signature, sizeof signature) == 64);
    STATUS(KMSS_OK, kmss_verify(session, public, KMSS_ECDSA_SHA256, NULL, message, sizeof message, signature, 64, &error));
    signature[9] ^= 1;
    STATUS(KMSS_SIGNATURE_INVALID, kmss_verify(session, public, KMSS_ECDSA_SHA256, NULL, message, sizeof message, signature, 64, &error));
    STATUS(KMSS_SIGNATURE_INVALID, kmss_verify(session, public, KMSS_ECDSA_SHA256, NULL, message, sizeof message, signature, 10, &error));

    hostile(home, pin_bytes, strlen(pin));

    pthread_t threads[4];
    for (int n = 0; n < 4; n++) CHECK(pthread_create(&threads[n], NULL, sign_on, NULL) == 0);
    for (int n = 0; n < 4; n++) pthread_join(threads[n], NULL);

    /* The other face of the same file, in the same process, on the same home: what one signs the other believes. */
    CK_MECHANISM ecdsa = {0x1044, NULL, 0};
    p11_load(argv[4]);
    OK(p11_initialize());
    CK_ULONG other = p11_open(p11_slot(argv[2]));
    OK(p11_login(other));
    CHECK(sign(signature, sizeof signature) == 64);
    OK(p11->C_VerifyInit(other, &ecdsa, p11_find(other, CKO_PUBLIC_KEY, argv[3])));
    OK(p11->C_Verify(other, (CK_BYTE *)message, sizeof message, signature, 64));

    /* A key that asks for the PIN at each use signs nothing here, where nobody can give it. */
    CK_BYTE yes = 1, p256[] = {6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7};
    char label[] = "always";
    CK_ATTRIBUTE asking[] = {{CKA_LABEL, label, 6}, {CKA_TOKEN, &yes, 1}, {0x202 /* CKA_ALWAYS_AUTHENTICATE */, &yes, 1}};
    CK_ATTRIBUTE open[] = {{CKA_LABEL, label, 6}, {CKA_TOKEN, &yes, 1}, {0x180 /* CKA_EC_PARAMS */, p256, sizeof p256}};
    CK_MECHANISM generate = {0x1040, NULL, 0};
    CK_ULONG halves[2];
    kmss_key *always = NULL;
    OK(p11->C_GenerateKeyPair(other, &generate, open, 3, asking, 3, &halves[0], &halves[1]));
    STATUS(KMSS_OK, kmss_find_key(session, label, KMSS_KEY_PRIVATE, &always, &error));
    size = sizeof signature;
    STATUS(KMSS_NOT_LOGGED_IN, kmss_sign(session, always, KMSS_ECDSA_SHA256, NULL, message, sizeof message, signature, &size, &error));
    kmss_key_free(always);

    OK(p11->C_Finalize(NULL));
    CHECK(sign(signature, sizeof signature) == 64);

    kmss_key_free(private);
    kmss_key_free(public);
    STATUS(KMSS_INVALID_HANDLE, kmss_sign(session, private, KMSS_ECDSA_SHA256, NULL, message, 1, signature, &size, &error));
    kmss_key_free(private);
    kmss_logout(session);
    kmss_close(home);
    STATUS(KMSS_INVALID_HANDLE, kmss_find_key(session, argv[3], KMSS_KEY_PRIVATE, &private, &error));
    puts("the C interface holds");
    return 0;
}
