/* What the C programs against kmss.h have in common. */
#ifndef ABI_H
#define ABI_H

#include "kmss.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef FAIL
#define FAIL(...) \
    do { \
        fprintf(stderr, "%s:%d: ", __FILE__, __LINE__); \
        fprintf(stderr, __VA_ARGS__); \
        fputc('\n', stderr); \
        exit(1); \
    } while (0)
#define CHECK(what) \
    do { \
        if (!(what)) FAIL("not so: %s", #what); \
    } while (0)
#endif

/* Asks a call, whose last argument is `&error`, for one status, and for a sentence where it fails. */
#define STATUS(wanted, call) \
    do { \
        kmss_error *error = (kmss_error *)0x30fff0; \
        kmss_status got_ = (call); \
        if (got_ != (wanted)) FAIL("%s gave %d (%s), not %s", #call, (int)got_, kmss_error_message(error), #wanted); \
        if (got_ == KMSS_OK) CHECK(error == NULL); \
        else CHECK(kmss_error_status(error) == got_ && strlen(kmss_error_message(error)) > 5); \
        kmss_error_free(error); \
    } while (0)

#endif
