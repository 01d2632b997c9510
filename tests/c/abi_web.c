/* abi_web HOME TOKEN FOLDER: tokens of the web and keys of wallets through the C interface. There is a key `vector`, the seed of the
 * first test vector of BIP-32. What others are to look at is written into FOLDER. */
#include "abi.h"

static kmss_session *user;
static const char *folder;

static kmss_key *found(const char *name, kmss_key_class class_) {
    kmss_key *key = NULL;
    STATUS(KMSS_OK, kmss_find_key(user, name, class_, &key, &error));
    return key;
}

static void leave(const char *name, const void *what, size_t len) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    CHECK(file != NULL && fwrite(what, 1, len, file) == len);
    fclose(file);
}

static kmss_jws_options jws(void) {
    kmss_jws_options how;
    memset(&how, 0, sizeof how);
    how.size = sizeof how;
    return how;
}

/* Verifies a token, and gives out what it holds. */
static char *holds(kmss_key *key, const kmss_jws_options *how, const char *token) {
    uint8_t *payload = NULL;
    size_t len = 0;
    STATUS(KMSS_OK, kmss_jws_verify_alloc(user, key, how, (const uint8_t *)token, strlen(token), &payload, &len, &error));
    CHECK(strlen((char *)payload) == len);
    return (char *)payload;
}

static void wrong(kmss_status status, kmss_key *key, const kmss_jws_options *how, const char *token) {
    uint8_t *payload = (uint8_t *)1;
    size_t len = 9;
    STATUS(status, kmss_jws_verify_alloc(user, key, how, (const uint8_t *)token, strlen(token), &payload, &len, &error));
    CHECK(payload == NULL && len == 0);
}

static void web(void) {
    const char *claims = "{\"iss\":\"kmss\",\"aud\":\"python\",\"sub\":\"somebody\"}";
    const uint8_t *said = (const uint8_t *)claims;
    const size_t len = strlen(claims);
    char *token = NULL, *json = NULL, *payload;
    kmss_key *login = NULL, *other = NULL, *rsa = NULL;
    STATUS(KMSS_OK, kmss_key_generate(user, "login", "ec:p256", NULL, &login, &error));
    STATUS(KMSS_OK, kmss_key_generate(user, "other", "ec:p256", NULL, &other, &error));
    STATUS(KMSS_OK, kmss_key_generate(user, "rsa", "rsa:2048", NULL, &rsa, &error));
    kmss_jws_options sign = jws(), verify = jws();

    /* Somebody says until when claims hold, and one says it. */
    STATUS(KMSS_INVALID_ARGUMENT, kmss_jws_sign(user, login, NULL, said, len, &token, &error));
    sign.lifetime_s = 300;
    STATUS(KMSS_INVALID_ARGUMENT, kmss_jws_sign(user, login, &sign, (const uint8_t *)"{\"exp\":1}", 9, &token, &error));
    STATUS(KMSS_INVALID_DATA, kmss_jws_sign(user, login, &sign, (const uint8_t *)"[]", 2, &token, &error));
    STATUS(KMSS_INVALID_DATA, kmss_jws_sign(user, login, &sign, NULL, 0, &token, &error));
    STATUS(KMSS_INVALID_ARGUMENT, kmss_jws_sign(user, login, &sign, said, len, NULL, &error));
    sign.algorithm = "none";
    STATUS(KMSS_INVALID_ARGUMENT, kmss_jws_sign(user, login, &sign, said, len, &token, &error));
    sign.algorithm = "ES384";
    STATUS(KMSS_KEY_MISMATCH, kmss_jws_sign(user, login, &sign, said, len, &token, &error));
    sign.algorithm = NULL;
    sign.flags = 4;
    STATUS(KMSS_INVALID_ARGUMENT, kmss_jws_sign(user, login, &sign, said, len, &token, &error));
    sign.flags = KMSS_JWS_ENDLESS;
    STATUS(KMSS_INVALID_ARGUMENT, kmss_jws_sign(user, login, &sign, said, len, &token, &error));
    sign.flags = KMSS_JWS_PAYLOAD;
    STATUS(KMSS_INVALID_ARGUMENT, kmss_jws_sign(user, login, &sign, said, len, &token, &error));
    sign.flags = 0;
    sign.audience = "python";
    STATUS(KMSS_INVALID_ARGUMENT, kmss_jws_sign(user, login, &sign, said, len, &token, &error));
    sign.audience = NULL;
    STATUS(KMSS_OK, kmss_jws_sign(user, login, &sign, said, len, &token, &error));
    leave("login.token", token, strlen(token));

    /* Whom it is for is said, or it is refused. */
    wrong(KMSS_INVALID_DATA, login, NULL, token);
    verify.audience = "python";
    payload = holds(login, &verify, token);
    CHECK(strncmp(payload, claims, len - 1) == 0 && strstr(payload, "\"exp\":") != NULL);
    kmss_free(payload);
    verify.issuer = "somebody else";
    wrong(KMSS_INVALID_DATA, login, &verify, token);
    verify.issuer = "kmss";
    wrong(KMSS_SIGNATURE_INVALID, other, &verify, token);
    wrong(KMSS_SIGNATURE_INVALID, login, &verify, "no.token.atall");
    wrong(KMSS_SIGNATURE_INVALID, login, &verify, "\xff\xfe.a.b");
    wrong(KMSS_SIGNATURE_INVALID, login, &verify, "");
    verify.leeway_s = 601;
    wrong(KMSS_INVALID_ARGUMENT, login, &verify, token);
    verify.leeway_s = 600;
    verify.lifetime_s = 1;
    wrong(KMSS_INVALID_ARGUMENT, login, &verify, token);
    verify.lifetime_s = 0;
    verify.type_ = "at+jwt";
    wrong(KMSS_SIGNATURE_INVALID, login, &verify, token);
    verify.type_ = NULL;
    STATUS(KMSS_INVALID_ARGUMENT, kmss_jws_verify_alloc(user, login, &verify, NULL, 3, NULL, NULL, &error));
    STATUS(KMSS_OK, kmss_jws_verify_alloc(user, login, &verify, (const uint8_t *)token, strlen(token), NULL, NULL, &error));

    /* A rotated key verifies what its former version signed; the set has both. */
    STATUS(KMSS_OK, kmss_key_rotate(user, "login", 0, NULL, &error));
    payload = holds(login, &verify, token);
    kmss_free(payload);
    kmss_free(token);
    kmss_key *again = found("login", KMSS_KEY_PRIVATE);
    STATUS(KMSS_OK, kmss_jws_sign(user, again, &sign, said, len, &token, &error));
    leave("again.token", token, strlen(token));
    kmss_free(token);
    sign.algorithm = "RS256";
    STATUS(KMSS_OK, kmss_jws_sign(user, rsa, &sign, said, len, &token, &error));
    leave("rsa.token", token, strlen(token));
    kmss_key *const keys[] = {login, rsa}, *const strange[] = {login, NULL};
    STATUS(KMSS_OK, kmss_jwks(user, keys, 2, "RS256", &json, &error));
    CHECK(strstr(json, "\"login@1\"") && strstr(json, "\"login@2\"") && strstr(json, "\"rsa@1\""));
    leave("jwks.json", json, strlen(json));
    kmss_free(json);
    STATUS(KMSS_INVALID_HANDLE, kmss_jwks(user, strange, 2, NULL, &json, &error));
    STATUS(KMSS_INVALID_ARGUMENT, kmss_jwks(user, NULL, 1, NULL, &json, &error));
    STATUS(KMSS_INVALID_ARGUMENT, kmss_jwks(user, keys, 2, "HS256", &json, &error));
    STATUS(KMSS_OK, kmss_jwks(user, NULL, 0, NULL, &json, &error));
    CHECK(strcmp(json, "{\"keys\":[]}") == 0);
    kmss_free(json);
    verify.algorithm = "PS256";
    wrong(KMSS_SIGNATURE_INVALID, rsa, &verify, token);
    kmss_free(token);

    /* Any bytes. */
    sign = jws();
    sign.flags = KMSS_JWS_PAYLOAD;
    verify = sign;
    STATUS(KMSS_OK, kmss_jws_sign(user, again, &sign, (const uint8_t *)"anything", 8, &token, &error));
    payload = holds(again, &verify, token);
    CHECK(strcmp(payload, "anything") == 0);
    kmss_free(payload);
    verify.issuer = "kmss";
    wrong(KMSS_INVALID_ARGUMENT, again, &verify, token);
    kmss_free(token);
    kmss_key *all[] = {login, other, rsa, again};
    for (size_t n = 0; n < 4; n++) kmss_key_free(all[n]);
}

static kmss_status child(kmss_key *seed, const char *curve, const char *path, const char *name) {
    return kmss_derive_child(user, seed, curve, path, name, NULL, NULL, NULL);
}

static void wallet(void) {
    /* The x of m/0'/1 of the first test vector of BIP-32. */
    static const uint8_t x[] = {0x50, 0x1e, 0x45, 0x4b, 0xf0, 0x07, 0x51, 0xf2, 0x4b, 0x1b, 0x48, 0x9a, 0xa9, 0x25, 0x21, 0x5d,
                                0x66, 0xaf, 0x22, 0x34, 0xe3, 0x89, 0x1c, 0x3b, 0x21, 0xa5, 0x2b, 0xed, 0xb3, 0xcd, 0x71, 0x1c};
    const uint8_t *message = (const uint8_t *)"send 5 to somebody";
    kmss_key *vector = found("vector", KMSS_KEY_SECRET), *seed = NULL, *coin = NULL, *nist = NULL;
    kmss_key_options out_of_here;
    uint8_t signature[80], *der = NULL;
    size_t len = 0;
    STATUS(KMSS_OK, kmss_derive_child(user, vector, "secp256k1", "m/0'/1", "coin", NULL, &coin, &error));
    STATUS(KMSS_OK, kmss_key_public_alloc(user, coin, &der, &len, &error));
    CHECK(len == 88 && memcmp(der + 24, x, sizeof x) == 0);
    leave("coin.der", der, len);
    leave("message", message, 18);
    kmss_free(der);
    CHECK(child(vector, "secp256k1", "m/0'/1", "coin") == KMSS_ALREADY_EXISTS);
    CHECK(child(vector, "secp256k1", "m/0'/1", NULL) == KMSS_INVALID_ARGUMENT);
    CHECK(child(vector, "secp256k1", "0/1", "no") == KMSS_INVALID_ARGUMENT);
    CHECK(child(vector, "secp256k1", NULL, "no") == KMSS_INVALID_ARGUMENT);
    CHECK(child(vector, "p384", "m/1", "no") == KMSS_INVALID_ARGUMENT);
    CHECK(child(vector, "ed25519", "m/1", "no") == KMSS_INVALID_ARGUMENT);
    CHECK(child(coin, "secp256k1", "m/1", "no") != KMSS_OK);
    CHECK(child(NULL, "secp256k1", "m/1", "no") == KMSS_INVALID_HANDLE);
    memset(&out_of_here, 0, sizeof out_of_here);
    out_of_here.size = sizeof out_of_here;
    out_of_here.flags = KMSS_KEY_EXTRACTABLE;
    STATUS(KMSS_INVALID_ARGUMENT, kmss_derive_child(user, vector, "p256", "m/1", "no", &out_of_here, NULL, &error));
    STATUS(KMSS_OK, kmss_key_generate(user, "seed", "hd-seed", NULL, &seed, &error));
    CHECK(child(seed, "ed25519", "m/44'/501'/0'", "ed") == KMSS_OK);
    STATUS(KMSS_OK, kmss_derive_child(user, seed, "p256", "m/1h/2", "nist", NULL, &nist, &error));

    /* Signatures as ledgers take them. */
    len = 0;
    STATUS(KMSS_OK, kmss_sign(user, coin, KMSS_ECDSA_RECOVERABLE_KECCAK256, NULL, message, 18, NULL, &len, &error));
    CHECK(len == 65);
    STATUS(KMSS_OK, kmss_sign(user, coin, KMSS_ECDSA_RECOVERABLE_KECCAK256, NULL, message, 18, signature, &len, &error));
    CHECK(len == 65 && signature[64] <= 3);
    leave("keccak256", signature, len);
    kmss_key *public = found("coin", KMSS_KEY_PUBLIC);
    STATUS(KMSS_OK, kmss_verify(user, public, KMSS_ECDSA_RECOVERABLE_KECCAK256, NULL, message, 18, signature, len, &error));
    STATUS(KMSS_SIGNATURE_INVALID, kmss_verify(user, public, KMSS_ECDSA_RECOVERABLE_SHA256, NULL, message, 18, signature, len, &error));
    signature[64] ^= 1;
    STATUS(KMSS_SIGNATURE_INVALID, kmss_verify(user, public, KMSS_ECDSA_RECOVERABLE_KECCAK256, NULL, message, 18, signature, len, &error));
    STATUS(KMSS_OK, kmss_verify(user, public, KMSS_ECDSA_LOW_S_KECCAK256, NULL, message, 18, signature, 64, &error));
    len = sizeof signature;
    STATUS(KMSS_OK, kmss_sign(user, coin, KMSS_ECDSA_RECOVERABLE_SHA256, NULL, message, 18, signature, &len, &error));
    leave("sha256", signature, len);
    kmss_sign_options how;
    memset(&how, 0, sizeof how);
    how.size = sizeof how;
    how.flags = KMSS_SIGN_DER;
    len = sizeof signature;
    STATUS(KMSS_INVALID_ARGUMENT, kmss_sign(user, coin, KMSS_ECDSA_RECOVERABLE_SHA256, &how, message, 18, signature, &len, &error));
    STATUS(KMSS_OK, kmss_sign(user, coin, KMSS_ECDSA_LOW_S_SHA256, &how, message, 18, signature, &len, &error));
    STATUS(KMSS_OK, kmss_verify(user, public, KMSS_ECDSA_LOW_S_SHA256, &how, message, 18, signature, len, &error));
    STATUS(KMSS_OK, kmss_verify(user, public, KMSS_ECDSA_SHA256, &how, message, 18, signature, len, &error));
    how.flags = KMSS_SIGN_DIGEST;
    len = sizeof signature;
    STATUS(KMSS_INVALID_DATA, kmss_sign(user, coin, KMSS_ECDSA_RECOVERABLE_KECCAK256, &how, message, 18, signature, &len, &error));
    STATUS(KMSS_OK, kmss_sign(user, coin, KMSS_ECDSA_RECOVERABLE_KECCAK256, &how, x, 32, signature, &len, &error));
    STATUS(KMSS_OK, kmss_verify(user, public, KMSS_ECDSA_RECOVERABLE_SHA256, &how, x, 32, signature, len, &error));
    len = sizeof signature;
    STATUS(KMSS_KEY_MISMATCH, kmss_sign(user, nist, KMSS_ECDSA_LOW_S_SHA256, NULL, message, 18, signature, &len, &error));
    kmss_key *all[] = {vector, seed, coin, nist, public};
    for (size_t n = 0; n < 5; n++) kmss_key_free(all[n]);
}

int main(int argc, char **argv) {
    CHECK(argc == 4);
    folder = argv[3];
    const char *pin = getenv("KMSS_PIN");
    CHECK(pin != NULL);
    kmss *home = NULL;
    STATUS(KMSS_OK, kmss_open(argv[1], &home, &error));
    STATUS(KMSS_OK, kmss_login(home, argv[2], (const uint8_t *)pin, strlen(pin), &user, &error));
    web();
    wallet();
    kmss_logout(user);
    kmss_close(home);
    puts("the web and wallets hold");
    return 0;
}
