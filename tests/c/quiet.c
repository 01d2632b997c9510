/* quiet MODULE TOKEN KEY: loading and using the module starts no thread and catches no signal, and leaves no
 * descriptor behind after C_Finalize. */
#include "p11.h"
#include <dirent.h>

static long count(const char *folder) {
    DIR *dir = opendir(folder);
    long n = 0;
    CHECK(dir != NULL);
    while (readdir(dir)) n++;
    closedir(dir);
    return n;
}

/* The signals that this process catches, as a mask. */
static unsigned long long caught(void) {
    char line[256];
    unsigned long long mask = 0;
    FILE *file = fopen("/proc/self/status", "r");
    CHECK(file != NULL);
    while (fgets(line, sizeof line, file)) sscanf(line, "SigCgt: %llx", &mask);
    fclose(file);
    return mask;
}

int main(int argc, char **argv) {
    CHECK(argc == 4);
    long threads = count("/proc/self/task"), files = count("/proc/self/fd");
    unsigned long long signals = caught();
    p11_load(argv[1]);
    OK(p11_initialize());
    CK_ULONG session = p11_open(p11_slot(argv[2]));
    OK(p11_login(session));
    for (int n = 0; n < 20; n++) p11_round(session, argv[3]);
    if (count("/proc/self/task") != threads) FAIL("%ld threads run", count("/proc/self/task"));
    if (caught() != signals) FAIL("signals %llx are caught, before %llx", caught(), signals);
    OK(p11->C_Finalize(NULL));
    if (count("/proc/self/task") != threads) FAIL("a thread is left after C_Finalize");
    if (caught() != signals) FAIL("a signal handler is left after C_Finalize");
    /* The entropy device and a generation page may stay; connections and segments may not. */
    if (count("/proc/self/fd") > files + 1) FAIL("%ld descriptors, before %ld", count("/proc/self/fd"), files);
    puts("quiet");
    return 0;
}
