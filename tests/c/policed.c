/* policed TOKEN KEY: signs once through the C interface, and says `signed`, or `denied` and why. */
#include "kmss.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv) {
    static const uint8_t message[] = "signed through the C interface";
    const char *pin = getenv("KMSS_PIN");
    uint8_t signature[64];
    size_t size = sizeof signature;
    kmss *home = NULL;
    kmss_session *session = NULL;
    kmss_key *key = NULL;
    kmss_error *error = NULL;
    if (argc != 3 || pin == NULL) return 2;
    if (kmss_open(getenv("KMSS_HOME"), &home, NULL) != KMSS_OK) return 3;
    if (kmss_login(home, argv[1], (const uint8_t *)pin, strlen(pin), &session, NULL) != KMSS_OK) return 4;
    if (kmss_find_key(session, argv[2], KMSS_KEY_PRIVATE, &key, NULL) != KMSS_OK) return 5;
    switch (kmss_sign(session, key, KMSS_ECDSA_SHA256, NULL, message, sizeof message, signature, &size, &error)) {
    case KMSS_OK:
        puts("signed");
        break;
    case KMSS_DENIED:
        printf("denied: %s\n", kmss_error_message(error));
        kmss_error_free(error);
        break;
    default:
        return 7;
    }
    kmss_key_free(key);
    kmss_logout(session);
    kmss_close(home);
    return 0;
}
