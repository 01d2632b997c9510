/* policy_explain [ACTION]: for every refusal in the audit (of one action), which rule decides on it today, and why.
 *
 *     cc policy_explain.c $(pkg-config --cflags --libs kmss) -o policy_explain
 *     ./policy_explain sign
 */
#include "example.h"

enum { MOST = 100, NAME = 128 };

struct refusals {
    char names[MOST][NAME];
    int count;
};

/* The function that takes records may not call the library with the same home: it notes which they are. */
static int note(void *user, const char *record, size_t len, const char *segment) {
    struct refusals *refusals = (struct refusals *)user;
    static const char member[] = "\"seq\":";
    for (size_t n = 0; n + sizeof member < len; n++) {
        if (memcmp(record + n, member, sizeof member - 1) == 0) {
            long seq = strtol(record + n + sizeof member - 1, NULL, 10);
            snprintf(refusals->names[refusals->count++], NAME, "%s:%ld", segment, seq);
            break;
        }
    }
    return refusals->count == MOST;
}

int main(int argc, char **argv) {
    static struct refusals refusals;
    kmss *home = open_home();
    kmss_error *error = NULL;
    kmss_audit_filter filter;
    memset(&filter, 0, sizeof filter);
    filter.size = sizeof filter;
    filter.outcome = "denied";
    filter.action = argc > 1 ? argv[1] : NULL;
    check(kmss_audit_export(home, &filter, note, &refusals, &error), &error, "cannot read the audit");
    for (int n = 0; n < refusals.count; n++) {
        char *json = NULL;
        check(kmss_policy_explain(home, refusals.names[n], NULL, 0, &json, &error), &error, refusals.names[n]);
        puts(json);
        kmss_free(json);
    }
    kmss_close(home);
    return 0;
}
