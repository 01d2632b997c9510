/* abi_speed HOME TOKEN KEY SECONDS: how many messages of 1 KiB one thread encrypts with a context, and how many data keys it makes,
 * through the C interface: of the best of five rounds, which share the time. What must hold is that all of them succeed; the numbers are
 * for whoever reads them. */
#include "abi.h"
#include <time.h>

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

#define ROUNDS 5

static double a_second(kmss_session *session, kmss_key *key, int what, double seconds) {
    static uint8_t text[1024], sealed[1024 + KMSS_MESSAGE_OVERHEAD], plain[32], mac[64];
    static const kmss_pair context[] = {{"tenant", "one"}, {"order", "4711"}};
    const double start = now();
    unsigned long count = 0;
    double spent = 0;
    do {
        for (int n = 0; n < 100; n++, count++) {
            size_t len = sizeof sealed, mac_len = sizeof mac;
            if (what == 0) STATUS(KMSS_OK, kmss_encrypt(session, key, 0, context, 2, text, sizeof text, sealed, &len, &error));
            if (what == 1) STATUS(KMSS_OK, kmss_data_key(session, key, 0, context, 2, 32, plain, sealed, &len, &error));
            if (what == 2) STATUS(KMSS_OK, kmss_mac(session, key, KMSS_AES_CMAC, text, 16, mac, &mac_len, &error));
        }
        spent = now() - start;
    } while (spent < seconds);
    return (double)count / spent;
}

int main(int argc, char **argv) {
    CHECK(argc == 5);
    const char *pin = getenv("KMSS_PIN");
    CHECK(pin != NULL);
    kmss *home = NULL;
    kmss_session *session = NULL;
    kmss_key *key = NULL;
    STATUS(KMSS_OK, kmss_open(argv[1], &home, &error));
    STATUS(KMSS_OK, kmss_login(home, argv[2], (const uint8_t *)pin, strlen(pin), &session, &error));
    STATUS(KMSS_OK, kmss_find_key(session, argv[3], KMSS_KEY_SECRET, &key, &error));
    const double share = strtod(argv[4], NULL) / ROUNDS;
    for (int what = 0; what < 3; what++) {
        double best = 0;
        for (int n = 0; n < ROUNDS; n++) {
            const double rate = a_second(session, key, what, share);
            best = rate > best ? rate : best;
        }
        static const char *const names[] = {"messages of 1 KiB with a context", "data keys", "AES-CMAC of 16 bytes"};
        printf("%.0f/s %s\n", best, names[what]);
    }
    kmss_key_free(key);
    kmss_logout(session);
    kmss_close(home);
    return 0;
}
