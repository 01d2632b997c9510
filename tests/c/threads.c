/* threads MODULE TOKEN KEY mixed|exit: eight threads with sessions of their own do all sorts of things at once; in `exit`
 * one of them ends the process while the others are in the middle of theirs. */
#include "p11.h"
#include <pthread.h>

enum { THREADS = 8, ROUNDS = 200, EXIT_AFTER = 60 };
enum { CKA_VALUE_LEN = 0x161, CKA_EC_PARAMS = 0x180, CKM_AES_KEY_GEN = 0x1080, CKM_AES_CBC_PAD = 0x1085, CKM_EC_KEY_PAIR_GEN = 0x1040 };

static char *key;
static CK_ULONG slot;
static int exits;
static long done;
static CK_BYTE no = 0;

static void digests(CK_ULONG session) {
    CK_MECHANISM sha = {CKM_SHA256, NULL, 0};
    CK_BYTE data[1000] = {1}, one[32], two[32];
    CK_ULONG length = sizeof one;
    for (int n = 0; n < 2; n++) {
        OK(p11->C_DigestInit(session, &sha));
        OK(p11->C_DigestUpdate(session, data, n ? 1 : 500));
        OK(p11->C_DigestUpdate(session, data + (n ? 1 : 500), n ? 999 : 500));
        OK(p11->C_DigestFinal(session, n ? one : two, &length));
    }
    CHECK(!memcmp(one, two, sizeof one));
}

static void randoms(CK_ULONG session) {
    CK_BYTE one[32], two[32];
    OK(p11->C_GenerateRandom(session, one, sizeof one));
    OK(p11->C_GenerateRandom(session, two, sizeof two));
    CHECK(memcmp(one, two, sizeof one));
}

static void seals(CK_ULONG session) {
    CK_BYTE iv[16] = {1}, text[100] = {2}, sealed[112], opened[112];
    CK_ULONG bytes = 32, length = sizeof sealed, object;
    CK_ATTRIBUTE template[] = {{CKA_TOKEN, &no, 1}, {CKA_VALUE_LEN, &bytes, sizeof bytes}};
    CK_MECHANISM generate = {CKM_AES_KEY_GEN, NULL, 0}, cbc = {CKM_AES_CBC_PAD, iv, sizeof iv};
    OK(p11->C_GenerateKey(session, &generate, template, 2, &object));
    OK(p11->C_EncryptInit(session, &cbc, object));
    OK(p11->C_Encrypt(session, text, sizeof text, sealed, &length));
    CHECK(length == sizeof sealed);
    OK(p11->C_DecryptInit(session, &cbc, object));
    OK(p11->C_Decrypt(session, sealed, sizeof sealed, opened, &length));
    CHECK(length == sizeof text && !memcmp(opened, text, sizeof text));
    OK(p11->C_DestroyObject(session, object));
}

static void keeps(CK_ULONG session, long me) {
    char label[32];
    CK_ULONG class = CKO_DATA, object;
    snprintf(label, sizeof label, "note of %ld", me);
    CK_ATTRIBUTE template[] = {{CKA_CLASS, &class, sizeof class}, {CKA_TOKEN, &no, 1}, {CKA_LABEL, label, strlen(label)}};
    OK(p11->C_CreateObject(session, template, 3, &object));
    CHECK(p11_find(session, CKO_DATA, label) == object);
    OK(p11->C_DestroyObject(session, object));
    CHECK(p11_find(session, CKO_DATA, label) == 0);
}

static void generates(CK_ULONG session) {
    static CK_BYTE p256[] = {6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7};
    CK_BYTE signature[64];
    CK_MECHANISM generate = {CKM_EC_KEY_PAIR_GEN, NULL, 0};
    CK_ATTRIBUTE public[] = {{CKA_TOKEN, &no, 1}, {CKA_EC_PARAMS, p256, sizeof p256}}, private[] = {{CKA_TOKEN, &no, 1}};
    CK_ULONG one, two;
    OK(p11->C_GenerateKeyPair(session, &generate, public, 2, private, 1, &one, &two));
    OK(p11_sign(session, two, signature));
    OK(p11->C_DestroyObject(session, one));
    OK(p11->C_DestroyObject(session, two));
}

static void visits(void) {
    CK_SESSION_INFO info;
    CK_ULONG other = p11_open(slot);
    OK(p11->C_GetSessionInfo(other, &info));
    CHECK(info.slot == slot);
    p11_round(other, key);
    OK(p11->C_CloseSession(other));
}

static void *work(void *argument) {
    long me = (long)argument;
    CK_ULONG session = p11_open(slot);
    for (int n = 0; exits || n < ROUNDS; n++) {
        switch ((n + me) % 8) {
        case 0:
        case 1: p11_round(session, key); break;
        case 2: digests(session); break;
        case 3: randoms(session); break;
        case 4: seals(session); break;
        case 5: keeps(session, me); break;
        case 6: generates(session); break;
        default: visits(); break;
        }
        if (__atomic_add_fetch(&done, 1, __ATOMIC_RELAXED) == EXIT_AFTER && exits) {
            puts("left");
            p11_leaving = 1;
            exit(0);
        }
    }
    OK(p11->C_CloseSession(session));
    return NULL;
}

int main(int argc, char **argv) {
    pthread_t threads[THREADS];
    CHECK(argc == 5);
    key = argv[3];
    exits = !strcmp(argv[4], "exit");
    CHECK(exits || !strcmp(argv[4], "mixed"));
    p11_load(argv[1]);
    OK(p11_initialize());
    slot = p11_slot(argv[2]);
    OK(p11_login(p11_open(slot)));
    for (long n = 0; n < THREADS; n++) CHECK(!pthread_create(&threads[n], NULL, work, (void *)n));
    for (int n = 0; n < THREADS; n++) CHECK(!pthread_join(threads[n], NULL));
    OK(p11->C_Finalize(NULL));
    puts("all agreed");
    return 0;
}
