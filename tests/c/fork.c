/* fork MODULE TOKEN KEY inherit|reinit|threads|nested|connecting|connecting-reinit: what a child may do with its parent's
 * module. */
#include "p11.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

static char *key;
static CK_ULONG slot, session;
static volatile int stop;

/* Waits for a child and asks it for success; a child that hangs is killed and reported. */
static void reap(pid_t child, const char *what) {
    int status;
    for (int n = 0; n < 6000; n++) {
        pid_t got = waitpid(child, &status, WNOHANG);
        if (got == child) {
            if (!WIFEXITED(status) || WEXITSTATUS(status)) FAIL("%s: the child ended with status 0x%x", what, status);
            return;
        }
        CHECK(got == 0);
        nanosleep(&(struct timespec){0, 10000000}, NULL);
    }
    kill(child, SIGKILL);
    FAIL("%s: the child hangs", what);
}

static pid_t spawn(void) {
    pid_t child = fork();
    CHECK(child >= 0);
    return child;
}

/* A child goes on without C_Initialize: slots, login and objects are there, active operations are not. */
static void inherit(void) {
    CK_MECHANISM sha = {CKM_SHA256, NULL, 0}, ecdsa = {CKM_ECDSA, NULL, 0};
    CK_BYTE data[32] = {7}, out[64];
    CK_ULONG length = sizeof out, private = p11_find(session, CKO_PRIVATE_KEY, key);
    CHECK(private != 0);
    OK(p11->C_DigestInit(session, &sha));
    OK(p11->C_DigestUpdate(session, data, sizeof data));
    OK(p11->C_SignInit(session, &ecdsa, private));
    pid_t child = spawn();
    if (!child) {
        EXPECT(CKR_OPERATION_NOT_INITIALIZED, p11->C_Sign(session, data, sizeof data, out, &length));
        EXPECT(CKR_OPERATION_NOT_INITIALIZED, p11->C_DigestFinal(session, out, &length));
        CHECK(p11_slot("fork") == slot);
        OK(p11_sign(session, private, out));
        p11_round(session, key);
        EXPECT(CKR_USER_ALREADY_LOGGED_IN, p11_login(session));
        p11_round(p11_open(slot), key);
        OK(p11->C_CloseSession(session));
        _exit(0);
    }
    reap(child, "inherit");
    OK(p11->C_Sign(session, data, sizeof data, out, &length));
    length = sizeof out;
    OK(p11->C_DigestFinal(session, out, &length));
    CHECK(length == 32);
    p11_round(session, key);
}

/* A child calls C_Initialize: it succeeds and starts with public state; the parent notices nothing. */
static void reinit(void) {
    pid_t child = spawn();
    if (!child) {
        CK_BYTE byte;
        CK_SESSION_INFO info;
        OK(p11_initialize());
        EXPECT(CKR_CRYPTOKI_ALREADY_INITIALIZED, p11_initialize());
        EXPECT(CKR_SESSION_HANDLE_INVALID, p11->C_GenerateRandom(session, &byte, 1));
        CHECK(p11_slot("fork") == slot);
        CK_ULONG own = p11_open(slot);
        OK(p11->C_GetSessionInfo(own, &info));
        CHECK(info.state == CKS_RW_PUBLIC_SESSION);
        CHECK(p11_find(own, CKO_PRIVATE_KEY, key) == 0);
        OK(p11_login(own));
        p11_round(own, key);
        OK(p11->C_Finalize(NULL));
        OK(p11_initialize());
        CK_ULONG again = p11_open(slot);
        OK(p11_login(again));
        p11_round(again, key);
        _exit(0);
    }
    reap(child, "reinit");
    EXPECT(CKR_USER_ALREADY_LOGGED_IN, p11_login(session));
    p11_round(session, key);
    /* A child may also end the module for itself only. */
    child = spawn();
    if (!child) {
        OK(p11->C_Finalize(NULL));
        _exit(0);
    }
    reap(child, "finalize");
    p11_round(session, key);
}

static void *sign_on(void *unused) {
    CK_ULONG own = p11_open(slot);
    (void)unused;
    while (!stop) p11_round(own, key);
    return NULL;
}

/* Forks while other threads hold whatever locks they hold. */
static void threads(void) {
    pthread_t workers[4];
    for (int n = 0; n < 4; n++) CHECK(pthread_create(&workers[n], NULL, sign_on, NULL) == 0);
    for (int n = 0; n < 40; n++) {
        pid_t child = spawn();
        if (!child) {
            if (n % 4 == 3) {
                OK(p11_initialize());
                session = p11_open(slot);
                OK(p11_login(session));
            } else if (n % 4 == 2) {
                session = p11_open(slot);
            }
            p11_round(session, key);
            if (n % 8 < 4) OK(p11->C_Finalize(NULL));
            _exit(0);
        }
        reap(child, "threads");
    }
    stop = 1;
    for (int n = 0; n < 4; n++) pthread_join(workers[n], NULL);
    p11_round(session, key);
}

/* A child's child, and siblings at once. */
static void nested(void) {
    pid_t children[6];
    for (int n = 0; n < 6; n++) {
        children[n] = spawn();
        if (!children[n]) {
            p11_round(session, key);
            pid_t grandchild = spawn();
            if (!grandchild) {
                p11_round(session, key);
                _exit(0);
            }
            p11_round(session, key);
            reap(grandchild, "grandchild");
            p11_round(session, key);
            _exit(0);
        }
    }
    for (int n = 0; n < 6; n++) {
        p11_round(session, key);
        reap(children[n], "nested");
    }
    p11_round(session, key);
}

static void *sign_once(void *unused) {
    (void)unused;
    p11_round(p11_open(slot), key);
    return NULL;
}

/* Says that something has come to pass, by a file in this folder; and waits until the test says so of something else. */
static void say(const char *what) {
    FILE *file = fopen(what, "w");
    CHECK(file != NULL && fclose(file) == 0);
}

static void await(const char *what) {
    while (access(what, F_OK)) nanosleep(&(struct timespec){0, 5000000}, NULL);
}

/* Forks while a thread connects to a server that does not answer yet: the test sees to that, and lets both in at the end. */
static void connecting(int anew) {
    pthread_t worker;
    p11_round(session, key);
    say("warm");
    await("shut");
    CHECK(pthread_create(&worker, NULL, sign_once, NULL) == 0);
    await("waits");
    pid_t child = spawn();
    if (!child) {
        printf("child %d\n", (int)getpid());
        CHECK(fflush(stdout) == 0);
        if (anew) {
            OK(p11_initialize());
            session = p11_open(slot);
            OK(p11_login(session));
        }
        p11_round(session, key);
        _exit(0);
    }
    CHECK(pthread_join(worker, NULL) == 0);
    p11_round(session, key);
    reap(child, "connecting");
    p11_round(session, key);
}

int main(int argc, char **argv) {
    CHECK(argc == 5);
    key = argv[3];
    p11_load(argv[1]);
    OK(p11_initialize());
    slot = p11_slot(argv[2]);
    session = p11_open(slot);
    OK(p11_login(session));
    if (!strcmp(argv[4], "inherit")) inherit();
    else if (!strcmp(argv[4], "reinit")) reinit();
    else if (!strcmp(argv[4], "threads")) threads();
    else if (!strcmp(argv[4], "nested")) nested();
    else if (!strcmp(argv[4], "connecting")) connecting(0);
    else if (!strcmp(argv[4], "connecting-reinit")) connecting(1);
    else FAIL("unknown scene `%s`", argv[4]);
    OK(p11->C_Finalize(NULL));
    puts("forked");
    return 0;
}
