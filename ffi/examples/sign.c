/* sign TOKEN KEY TEXT: signs a text by ECDSA with SHA-256, prints the signature (DER) in hex, and verifies it.
 *
 *     cc sign.c $(pkg-config --cflags --libs kmss) -o sign
 *     kmss key generate signer --token demo --type ec:p256
 *     KMSS_PIN=... ./sign demo signer "hello"
 */
#include "example.h"

int main(int argc, char **argv) {
    if (argc != 4) {
        fputs("usage: sign TOKEN KEY TEXT\n", stderr);
        return 2;
    }
    kmss *home = open_home();
    kmss_session *session = log_in(home, argv[1]);
    kmss_error *error = NULL;
    kmss_key *signer = NULL, *verifier = NULL;
    check(kmss_find_key(session, argv[2], KMSS_KEY_PRIVATE, &signer, &error), &error, "cannot find the private key");
    check(kmss_find_key(session, argv[2], KMSS_KEY_PUBLIC, &verifier, &error), &error, "cannot find the public key");

    const uint8_t *text = (const uint8_t *)argv[3];
    kmss_sign_options options;
    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    options.flags = KMSS_SIGN_DER;

    /* How large it can be, and then the signature itself. */
    size_t len = 0;
    check(kmss_sign(session, signer, KMSS_ECDSA_SHA256, &options, text, strlen(argv[3]), NULL, &len, &error), &error, "cannot sign");
    uint8_t *signature = (uint8_t *)malloc(len);
    if (signature == NULL) return 1;
    check(kmss_sign(session, signer, KMSS_ECDSA_SHA256, &options, text, strlen(argv[3]), signature, &len, &error), &error,
          "cannot sign");
    for (size_t n = 0; n < len; n++) printf("%02x", signature[n]);
    putchar('\n');
    check(kmss_verify(session, verifier, KMSS_ECDSA_SHA256, &options, text, strlen(argv[3]), signature, len, &error), &error,
          "cannot verify");
    puts("the signature is right");

    free(signature);
    kmss_key_free(signer);
    kmss_key_free(verifier);
    kmss_logout(session);
    kmss_close(home);
    return 0;
}
