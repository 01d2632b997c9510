/* opening MODULE: C_Initialize takes seconds in an HSM; a fork beside it does not wait for that, nor does the child. */
#include "p11.h"

#include <pthread.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static CK_RV told;

static double now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

static void *begin(void *nothing) {
    (void)nothing;
    told = p11_initialize();
    return NULL;
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    p11_load(argv[1]);
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, begin, NULL) == 0);
    usleep(700 * 1000);
    double before = now();
    /* Nobody waits for the lock of the door. */
    CK_ULONG count;
    EXPECT(CKR_CRYPTOKI_NOT_INITIALIZED, p11->C_GetSlotList(1, NULL, &count));
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        EXPECT(CKR_CRYPTOKI_NOT_INITIALIZED, p11->C_GetSlotList(1, NULL, &count));
        _exit(0);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    double took = now() - before;
    if (took > 1.5) FAIL("the fork took %.1f s", took);
    CHECK(pthread_join(thread, NULL) == 0);
    OK(told);
    OK(p11->C_GetSlotList(1, NULL, &count));
    puts("ended");
    return 0;
}
