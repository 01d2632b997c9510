/* neighbours MODULE TOKEN KEY SOFTHSM URI first|last: the module in a process with SoftHSM2 and with OpenSSL, whose
 * configuration loads an engine that loads the module too: before (`first`) or after (`last`) the program does. */
#include "p11.h"
#include <stdint.h>

enum { CKA_EC_PARAMS = 0x180, CKM_EC_KEY_PAIR_GEN = 0x1040, LOAD_CONFIGURATION = 0x40 };

static CK_FUNCTION_LIST *module, *soft;
static void *crypto;

static void *symbol(const char *name) {
    void *found = dlsym(crypto, name);
    if (!found) FAIL("%s", dlerror());
    return found;
}

/* Calls a function of libcrypto by name. */
#define CRYPTO(result, name, types, ...) ((result(*) types)symbol(name))(__VA_ARGS__)

/* OpenSSL starts, as its configuration says, and signs and verifies with the engine's key. */
static void openssl(char *uri) {
    CK_BYTE digest[32], signature[256];
    size_t length = 0;
    if (!crypto) crypto = dlopen("libcrypto.so.3", RTLD_NOW | RTLD_LOCAL);
    CHECK(crypto != NULL);
    CHECK(CRYPTO(int, "OPENSSL_init_crypto", (uint64_t, void *), LOAD_CONFIGURATION, NULL) == 1);
    CHECK(CRYPTO(int, "EVP_Q_digest", (void *, const char *, const char *, const void *, size_t, CK_BYTE *, size_t *), NULL,
                 "SHA256", NULL, "abc", 3, digest, &length) == 1);
    CHECK(length == 32 && digest[0] == 0xba && digest[31] == 0xad);
    void *engine = CRYPTO(void *, "ENGINE_by_id", (const char *), "pkcs11");
    CHECK(engine != NULL);
    CHECK(CRYPTO(int, "ENGINE_init", (void *), engine) == 1);
    void *key = CRYPTO(void *, "ENGINE_load_private_key", (void *, const char *, void *, void *), engine, uri, NULL, NULL);
    CHECK(key != NULL);
    void *context = CRYPTO(void *, "EVP_MD_CTX_new", (void));
    void *hash = CRYPTO(void *, "EVP_sha256", (void));
    CHECK(CRYPTO(int, "EVP_DigestSignInit", (void *, void *, void *, void *, void *), context, NULL, hash, NULL, key) == 1);
    length = sizeof signature;
    CHECK(CRYPTO(int, "EVP_DigestSign", (void *, CK_BYTE *, size_t *, const CK_BYTE *, size_t), context, signature, &length,
                 digest, sizeof digest) == 1);
    CRYPTO(void, "EVP_MD_CTX_free", (void *), context);
    context = CRYPTO(void *, "EVP_MD_CTX_new", (void));
    CHECK(CRYPTO(int, "EVP_DigestVerifyInit", (void *, void *, void *, void *, void *), context, NULL, hash, NULL, key) == 1);
    CHECK(CRYPTO(int, "EVP_DigestVerify", (void *, const CK_BYTE *, size_t, const CK_BYTE *, size_t), context, signature, length,
                 digest, sizeof digest) == 1);
    CRYPTO(void, "EVP_MD_CTX_free", (void *), context);
    CRYPTO(void, "EVP_PKEY_free", (void *), key);
}

/* Makes a pair that goes with the session, and uses it. */
static void pair(CK_FUNCTION_LIST *list, CK_ULONG session) {
    static CK_BYTE p256[] = {6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7};
    CK_BYTE no = 0, digest[32] = {7}, signature[64];
    CK_MECHANISM generate = {CKM_EC_KEY_PAIR_GEN, NULL, 0}, ecdsa = {CKM_ECDSA, NULL, 0};
    CK_ATTRIBUTE of_public[] = {{CKA_TOKEN, &no, 1}, {CKA_EC_PARAMS, p256, sizeof p256}}, of_private[] = {{CKA_TOKEN, &no, 1}};
    CK_ULONG public, private;
    p11 = list;
    OK(p11->C_GenerateKeyPair(session, &generate, of_public, 2, of_private, 1, &public, &private));
    OK(p11_sign(session, private, signature));
    OK(p11->C_VerifyInit(session, &ecdsa, public));
    OK(p11->C_Verify(session, digest, sizeof digest, signature, sizeof signature));
}

int main(int argc, char **argv) {
    CHECK(argc == 7);
    int first = !strcmp(argv[6], "first");
    if (first) openssl(argv[5]);
    p11_load(argv[1]);
    module = p11;
    /* The engine may have initialised the module for the whole process, and logged in. */
    EXPECT(first ? CKR_CRYPTOKI_ALREADY_INITIALIZED : CKR_OK, p11_initialize());
    CK_ULONG session = p11_open(p11_slot(argv[2]));
    CK_RV rv = p11_login(session);
    CHECK(rv == CKR_OK || rv == CKR_USER_ALREADY_LOGGED_IN);
    p11_load(argv[4]);
    soft = p11;
    OK(p11_initialize());
    CK_ULONG other = p11_open(p11_slot("neighbour"));
    OK(p11_login(other));
    for (int n = 0; n < 10; n++) {
        pair(module, session);
        pair(soft, other);
        if (!(n % 3)) openssl(argv[5]);
        p11 = module;
        p11_round(session, argv[3]);
    }
    OK(soft->C_Finalize(NULL));
    p11_round(session, argv[3]);
    puts("good neighbours");
    /* The engine's own end comes with that of the process. */
    return 0;
}
