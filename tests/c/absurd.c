/* absurd MODULE TOKEN KEY: lengths near 2^63 and keys of absurd sizes are refused, and nothing else happens. */
#include "p11.h"

enum {
    CKA_MODULUS_BITS = 0x121, CKA_PUBLIC_EXPONENT = 0x122, CKA_VALUE_LEN = 0x161, CKA_EC_PARAMS = 0x180,
    CKM_RSA_PKCS_KEY_PAIR_GEN = 0, CKM_GENERIC_SECRET_KEY_GEN = 0x350, CKM_EC_KEY_PAIR_GEN = 0x1040, CKM_AES_KEY_GEN = 0x1080,
    CKM_SHA256_HMAC = 0x251, CKM_AES_CBC_PAD = 0x1085
};

/* Asks for any refusal. */
#define REFUSED(call) \
    do { \
        if ((call) == CKR_OK) FAIL("%s was done, with 0x%lx", #call, size); \
    } while (0)

static CK_ULONG lengths[] = {1UL << 60, 1UL << 62, (1UL << 63) - 32, (1UL << 63) - 1, 1UL << 63, (1UL << 63) + 1, ~0UL - 31, ~0UL - 1, ~0UL};
static CK_ULONG keys[] = {1UL << 31, 1UL << 32, (1UL << 32) + 2048, 1UL << 40, 1UL << 61, (1UL << 61) + 256, 1UL << 63, ~0UL - 1, ~0UL};

static void sizes_of_buffers(CK_ULONG session, CK_ULONG size, CK_ULONG private, CK_ULONG secret) {
    CK_MECHANISM sha = {CKM_SHA256, NULL, 0}, ecdsa = {CKM_ECDSA, NULL, 0}, hmac = {CKM_SHA256_HMAC, NULL, 0};
    CK_BYTE buffer[64] = {0}, iv[16] = {0}, out[64];
    CK_MECHANISM cbc = {CKM_AES_CBC_PAD, iv, size};
    CK_ULONG length = sizeof out, object, class = CKO_DATA;
    CK_ATTRIBUTE value[] = {{CKA_CLASS, &class, sizeof class}, {CKA_VALUE, buffer, size}}, label = {CKA_LABEL, buffer, size};
    REFUSED(p11->C_GenerateRandom(session, buffer, size));
    OK(p11->C_DigestInit(session, &sha));
    REFUSED(p11->C_DigestUpdate(session, buffer, size));
    OK(p11->C_SignInit(session, &ecdsa, private));
    REFUSED(p11->C_Sign(session, buffer, size, out, &length));
    OK(p11->C_SignInit(session, &hmac, secret));
    REFUSED(p11->C_SignUpdate(session, buffer, size));
    REFUSED(p11->C_EncryptInit(session, &cbc, secret));
    REFUSED(p11->C_CreateObject(session, value, 2, &object));
    REFUSED(p11->C_CreateObject(session, value, size, &object));
    REFUSED(p11->C_FindObjectsInit(session, &label, 1));
    REFUSED(p11->C_FindObjectsInit(session, &label, size));
    REFUSED(p11->C_GetAttributeValue(session, private, value, size));
    REFUSED(p11->C_Login(session, CKU_USER, buffer, size));
    ecdsa.length = size;
    ecdsa.parameter = buffer;
    REFUSED(p11->C_SignInit(session, &ecdsa, private));
}

static void sizes_of_keys(CK_ULONG session, CK_ULONG size) {
    CK_BYTE exponent[] = {1, 0, 1}, p256[] = {6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7};
    CK_MECHANISM rsa = {CKM_RSA_PKCS_KEY_PAIR_GEN, NULL, 0}, ec = {CKM_EC_KEY_PAIR_GEN, NULL, 0};
    CK_MECHANISM aes = {CKM_AES_KEY_GEN, NULL, 0}, generic = {CKM_GENERIC_SECRET_KEY_GEN, NULL, 0};
    CK_ATTRIBUTE bits[] = {{CKA_MODULUS_BITS, &size, sizeof size}, {CKA_PUBLIC_EXPONENT, exponent, sizeof exponent}};
    CK_ATTRIBUTE bytes = {CKA_VALUE_LEN, &size, sizeof size}, curve = {CKA_EC_PARAMS, p256, size};
    CK_ULONG one, two;
    REFUSED(p11->C_GenerateKeyPair(session, &rsa, bits, 2, NULL, 0, &one, &two));
    REFUSED(p11->C_GenerateKey(session, &aes, &bytes, 1, &one));
    /* A generic secret may have any length but none. */
    if (!size || size > 8) REFUSED(p11->C_GenerateKey(session, &generic, &bytes, 1, &one));
    if (size >= 1UL << 61) REFUSED(p11->C_GenerateKeyPair(session, &ec, &curve, 1, NULL, 0, &one, &two));
    bits[0].length = 3;
    REFUSED(p11->C_GenerateKeyPair(session, &rsa, bits, 2, NULL, 0, &one, &two));
}

int main(int argc, char **argv) {
    CK_MECHANISM generic = {CKM_GENERIC_SECRET_KEY_GEN, NULL, 0};
    CK_ULONG bytes = 32, secret, size = 0;
    CK_BYTE no = 0;
    CK_ATTRIBUTE template[] = {{CKA_TOKEN, &no, 1}, {CKA_VALUE_LEN, &bytes, sizeof bytes}};
    CHECK(argc == 4);
    p11_load(argv[1]);
    OK(p11_initialize());
    CK_ULONG session = p11_open(p11_slot(argv[2]));
    OK(p11_login(session));
    OK(p11->C_GenerateKey(session, &generic, template, 2, &secret));
    CK_ULONG private = p11_find(session, CKO_PRIVATE_KEY, argv[3]);
    for (size_t n = 0; n < sizeof lengths / sizeof *lengths; n++) {
        CK_ULONG other = p11_open(p11_slot(argv[2]));
        sizes_of_buffers(other, lengths[n], private, secret);
        OK(p11->C_CloseSession(other));
    }
    for (size_t n = 0; n < sizeof keys / sizeof *keys; n++) sizes_of_keys(session, keys[n]);
    for (size = 0; size < 8; size++) sizes_of_keys(session, size);
    p11_round(session, argv[3]);
    OK(p11->C_Finalize(NULL));
    puts("all refused");
    return 0;
}
