/* What the examples have in common: opening a home, logging in, and saying what went wrong. Compiles as C99 and as C++17. */
#ifndef EXAMPLE_H
#define EXAMPLE_H

#include <kmss.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Says what went wrong and ends the program. By its address, because a call and its arguments are evaluated in any order. */
static inline void check(kmss_status status, kmss_error **error, const char *what) {
    if (status == KMSS_OK) return;
    const char *cause = kmss_error_cause(*error);
    fprintf(stderr, "%s: %s%s%s (status %d)\n", what, kmss_error_message(*error), *cause ? ": " : "", cause, (int)status);
    kmss_error_free(*error);
    exit(1);
}

/* The home of the configuration (KMSS_HOME, kmss.toml). */
static inline kmss *open_home(void) {
    kmss *home = NULL;
    kmss_error *error = NULL;
    check(kmss_open(NULL, &home, &error), &error, "cannot open the home");
    return home;
}

/* Logged in to `token` with the PIN in the environment. */
static inline kmss_session *log_in(kmss *home, const char *token) {
    const char *pin = getenv("KMSS_PIN");
    kmss_session *session = NULL;
    kmss_error *error = NULL;
    if (pin == NULL) {
        fputs("set KMSS_PIN\n", stderr);
        exit(2);
    }
    check(kmss_login(home, token, (const uint8_t *)pin, strlen(pin), &session, &error), &error, "cannot log in");
    return session;
}

#endif
