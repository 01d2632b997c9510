/* leaving MODULE TOKEN KEY LATE: the process ends, and the module is called once more by everybody who still can: by a
 * handler that runs after the module's, by threads that never called it, and from the destructor of LATE, a library (this file again,
 * shared) that is loaded behind the module and so ends after it. */
#include "p11.h"
#include <pthread.h>

static CK_ULONG session;

static void *draws(void *answer) {
    CK_BYTE random[32];
    *(CK_RV *)answer = p11->C_GenerateRandom(session, random, sizeof random);
    return NULL;
}

/* What a thread that never called the module hears. */
static CK_RV newcomer(void) {
    pthread_t thread;
    CK_RV answer = 0;
    CHECK(!pthread_create(&thread, NULL, draws, &answer));
    CHECK(!pthread_join(thread, NULL));
    return answer;
}

/* Registered before the module came, so it runs after whatever the module registers. */
static void handler(void) {
    CK_RV answer;
    draws(&answer);
    OK(answer);
    CHECK(newcomer() == CKR_CRYPTOKI_NOT_INITIALIZED);
}

__attribute__((visibility("default"))) void p11_follow(CK_FUNCTION_LIST *list, CK_ULONG in) { p11 = list, session = in; }

__attribute__((destructor)) static void destructor(void) {
    CK_RV answer;
    if (!session || p11_handle) return;
    draws(&answer);
    CHECK(answer == CKR_CRYPTOKI_NOT_INITIALIZED);
    CHECK(newcomer() == CKR_CRYPTOKI_NOT_INITIALIZED);
    puts("the last one left");
    fflush(stdout);
}

int main(int argc, char **argv) {
    void (*follow)(CK_FUNCTION_LIST *, CK_ULONG);
    CHECK(argc == 5);
    atexit(handler);
    p11_load(argv[1]);
    OK(p11_initialize());
    session = p11_open(p11_slot(argv[2]));
    OK(p11_login(session));
    p11_round(session, argv[3]);
    OK(newcomer());
    void *late = dlopen(argv[4], RTLD_NOW | RTLD_LOCAL);
    if (!late) FAIL("%s", dlerror());
    *(void **)(&follow) = dlsym(late, "p11_follow");
    CHECK(follow != NULL);
    follow(p11, session);
    return 0;
}
