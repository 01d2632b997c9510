/* What the C programs of the tests need of PKCS#11 2.40, and a few words around it. Functions that no program calls
 * are declared without arguments: only their place in the list matters. */
#ifndef KMSS_TESTS_P11_H
#define KMSS_TESTS_P11_H

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef unsigned char CK_BYTE;
typedef unsigned long CK_ULONG;
typedef unsigned long CK_RV;

typedef struct { CK_ULONG type; void *value; CK_ULONG length; } CK_ATTRIBUTE;
typedef struct { CK_ULONG mechanism; void *parameter; CK_ULONG length; } CK_MECHANISM;
typedef struct { CK_ULONG slot, state, flags, error; } CK_SESSION_INFO;
typedef struct { void *create, *destroy, *lock, *unlock; CK_ULONG flags; void *reserved; } CK_C_INITIALIZE_ARGS;
typedef struct {
    CK_BYTE label[32], manufacturer[32], model[16], serial[16];
    CK_ULONG flags, numbers[10];
    CK_BYTE versions[4], time[16];
} CK_TOKEN_INFO;

typedef struct {
    CK_BYTE version[2];
    CK_RV (*C_Initialize)(void *);
    CK_RV (*C_Finalize)(void *);
    CK_RV (*C_GetInfo)(void);
    CK_RV (*C_GetFunctionList)(void);
    CK_RV (*C_GetSlotList)(CK_BYTE, CK_ULONG *, CK_ULONG *);
    CK_RV (*C_GetSlotInfo)(void);
    CK_RV (*C_GetTokenInfo)(CK_ULONG, CK_TOKEN_INFO *);
    CK_RV (*C_GetMechanismList)(void);
    CK_RV (*C_GetMechanismInfo)(void);
    CK_RV (*C_InitToken)(void);
    CK_RV (*C_InitPIN)(void);
    CK_RV (*C_SetPIN)(void);
    CK_RV (*C_OpenSession)(CK_ULONG, CK_ULONG, void *, void *, CK_ULONG *);
    CK_RV (*C_CloseSession)(CK_ULONG);
    CK_RV (*C_CloseAllSessions)(CK_ULONG);
    CK_RV (*C_GetSessionInfo)(CK_ULONG, CK_SESSION_INFO *);
    CK_RV (*C_GetOperationState)(void);
    CK_RV (*C_SetOperationState)(void);
    CK_RV (*C_Login)(CK_ULONG, CK_ULONG, CK_BYTE *, CK_ULONG);
    CK_RV (*C_Logout)(CK_ULONG);
    CK_RV (*C_CreateObject)(CK_ULONG, CK_ATTRIBUTE *, CK_ULONG, CK_ULONG *);
    CK_RV (*C_CopyObject)(void);
    CK_RV (*C_DestroyObject)(CK_ULONG, CK_ULONG);
    CK_RV (*C_GetObjectSize)(void);
    CK_RV (*C_GetAttributeValue)(CK_ULONG, CK_ULONG, CK_ATTRIBUTE *, CK_ULONG);
    CK_RV (*C_SetAttributeValue)(void);
    CK_RV (*C_FindObjectsInit)(CK_ULONG, CK_ATTRIBUTE *, CK_ULONG);
    CK_RV (*C_FindObjects)(CK_ULONG, CK_ULONG *, CK_ULONG, CK_ULONG *);
    CK_RV (*C_FindObjectsFinal)(CK_ULONG);
    CK_RV (*C_EncryptInit)(CK_ULONG, CK_MECHANISM *, CK_ULONG);
    CK_RV (*C_Encrypt)(CK_ULONG, CK_BYTE *, CK_ULONG, CK_BYTE *, CK_ULONG *);
    CK_RV (*C_EncryptUpdate)(CK_ULONG, CK_BYTE *, CK_ULONG, CK_BYTE *, CK_ULONG *);
    CK_RV (*C_EncryptFinal)(void);
    CK_RV (*C_DecryptInit)(CK_ULONG, CK_MECHANISM *, CK_ULONG);
    CK_RV (*C_Decrypt)(CK_ULONG, CK_BYTE *, CK_ULONG, CK_BYTE *, CK_ULONG *);
    CK_RV (*C_DecryptUpdate)(void);
    CK_RV (*C_DecryptFinal)(void);
    CK_RV (*C_DigestInit)(CK_ULONG, CK_MECHANISM *);
    CK_RV (*C_Digest)(void);
    CK_RV (*C_DigestUpdate)(CK_ULONG, CK_BYTE *, CK_ULONG);
    CK_RV (*C_DigestKey)(void);
    CK_RV (*C_DigestFinal)(CK_ULONG, CK_BYTE *, CK_ULONG *);
    CK_RV (*C_SignInit)(CK_ULONG, CK_MECHANISM *, CK_ULONG);
    CK_RV (*C_Sign)(CK_ULONG, CK_BYTE *, CK_ULONG, CK_BYTE *, CK_ULONG *);
    CK_RV (*C_SignUpdate)(CK_ULONG, CK_BYTE *, CK_ULONG);
    CK_RV (*C_SignFinal)(void);
    CK_RV (*C_SignRecoverInit)(void);
    CK_RV (*C_SignRecover)(void);
    CK_RV (*C_VerifyInit)(CK_ULONG, CK_MECHANISM *, CK_ULONG);
    CK_RV (*C_Verify)(CK_ULONG, CK_BYTE *, CK_ULONG, CK_BYTE *, CK_ULONG);
    CK_RV (*C_VerifyUpdate)(void);
    CK_RV (*C_VerifyFinal)(void);
    CK_RV (*C_VerifyRecoverInit)(void);
    CK_RV (*C_VerifyRecover)(void);
    CK_RV (*C_DigestEncryptUpdate)(void);
    CK_RV (*C_DecryptDigestUpdate)(void);
    CK_RV (*C_SignEncryptUpdate)(void);
    CK_RV (*C_DecryptVerifyUpdate)(void);
    CK_RV (*C_GenerateKey)(CK_ULONG, CK_MECHANISM *, CK_ATTRIBUTE *, CK_ULONG, CK_ULONG *);
    CK_RV (*C_GenerateKeyPair)(CK_ULONG, CK_MECHANISM *, CK_ATTRIBUTE *, CK_ULONG, CK_ATTRIBUTE *, CK_ULONG, CK_ULONG *, CK_ULONG *);
    CK_RV (*C_WrapKey)(CK_ULONG, CK_MECHANISM *, CK_ULONG, CK_ULONG, CK_BYTE *, CK_ULONG *);
    CK_RV (*C_UnwrapKey)(CK_ULONG, CK_MECHANISM *, CK_ULONG, CK_BYTE *, CK_ULONG, CK_ATTRIBUTE *, CK_ULONG, CK_ULONG *);
    CK_RV (*C_DeriveKey)(void);
    CK_RV (*C_SeedRandom)(CK_ULONG, CK_BYTE *, CK_ULONG);
    CK_RV (*C_GenerateRandom)(CK_ULONG, CK_BYTE *, CK_ULONG);
    CK_RV (*C_GetFunctionStatus)(void);
    CK_RV (*C_CancelFunction)(void);
    CK_RV (*C_WaitForSlotEvent)(void);
} CK_FUNCTION_LIST;

enum {
    CKR_OK = 0x0,
    CKR_OBJECT_HANDLE_INVALID = 0x82,
    CKR_OPERATION_NOT_INITIALIZED = 0x91,
    CKR_SESSION_HANDLE_INVALID = 0xb3,
    CKR_USER_ALREADY_LOGGED_IN = 0x100,
    CKR_USER_NOT_LOGGED_IN = 0x101,
    CKR_CRYPTOKI_NOT_INITIALIZED = 0x190,
    CKR_CRYPTOKI_ALREADY_INITIALIZED = 0x191
};
enum { CKF_RW_SESSION = 2, CKF_SERIAL_SESSION = 4, CKU_USER = 1, CKS_RW_PUBLIC_SESSION = 2 };
enum { CKO_DATA = 0, CKO_PUBLIC_KEY = 2, CKO_PRIVATE_KEY = 3 };
enum { CKA_CLASS = 0, CKA_TOKEN = 1, CKA_PRIVATE = 2, CKA_LABEL = 3, CKA_VALUE = 0x11, CKA_ID = 0x102 };
enum { CKM_SHA256 = 0x250, CKM_ECDSA = 0x1041 };

/* Ends the program, saying where and why. */
#define FAIL(...) (fprintf(stderr, "%s:%d: ", __FILE__, __LINE__), fprintf(stderr, __VA_ARGS__), fputc('\n', stderr), _exit(1))
/* Set as the process ends: threads that go on may be turned away then, and wait for the end. */
static volatile int p11_leaving;

/* Asks a call for one return value. */
#define EXPECT(rv, call) \
    do { \
        CK_RV got_ = (call); \
        if (p11_leaving && got_ == CKR_CRYPTOKI_NOT_INITIALIZED) pause(); \
        if (got_ != (CK_RV)(rv)) FAIL("%s gave 0x%lx, not %s", #call, got_, #rv); \
    } while (0)
#define OK(call) EXPECT(CKR_OK, call)
#define CHECK(fact) \
    do { \
        if (!(fact)) FAIL("%s does not hold", #fact); \
    } while (0)

static CK_FUNCTION_LIST *p11;
static void *p11_handle;

static void p11_load(const char *path) {
    CK_RV (*get)(CK_FUNCTION_LIST **);
    p11_handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!p11_handle) FAIL("%s", dlerror());
    /* The detour over a union-like copy is how POSIX turns an object pointer into a function. */
    *(void **)(&get) = dlsym(p11_handle, "C_GetFunctionList");
    CHECK(get != NULL);
    OK(get(&p11));
}

static CK_RV p11_initialize(void) {
    CK_C_INITIALIZE_ARGS arguments = {NULL, NULL, NULL, NULL, 2, NULL};
    return p11->C_Initialize(&arguments);
}

/* The slot of the token with this label. */
__attribute__((unused)) static CK_ULONG p11_slot(const char *label) {
    CK_ULONG slots[64], count = 64;
    OK(p11->C_GetSlotList(1, slots, &count));
    for (CK_ULONG n = 0; n < count; n++) {
        CK_TOKEN_INFO info;
        OK(p11->C_GetTokenInfo(slots[n], &info));
        if (!memcmp(info.label, label, strlen(label)) && info.label[strlen(label)] == ' ') return slots[n];
    }
    FAIL("no token `%s`", label);
    return 0;
}

__attribute__((unused)) static CK_ULONG p11_open(CK_ULONG slot) {
    CK_ULONG session = 0;
    OK(p11->C_OpenSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session));
    return session;
}

__attribute__((unused)) static CK_RV p11_login(CK_ULONG session) {
    char *pin = getenv("KMSS_PIN");
    CHECK(pin != NULL);
    return p11->C_Login(session, CKU_USER, (CK_BYTE *)pin, strlen(pin));
}

/* The first object of this class with this label; 0 where there is none. */
__attribute__((unused)) static CK_ULONG p11_find(CK_ULONG session, CK_ULONG class, char *label) {
    CK_ATTRIBUTE wanted[] = {{CKA_CLASS, &class, sizeof class}, {CKA_LABEL, label, strlen(label)}};
    CK_ULONG object = 0, count = 0;
    OK(p11->C_FindObjectsInit(session, wanted, 2));
    OK(p11->C_FindObjects(session, &object, 1, &count));
    OK(p11->C_FindObjectsFinal(session));
    return count ? object : 0;
}

/* Signs a digest with an EC key; the signature has 64 bytes. */
__attribute__((unused)) static CK_RV p11_sign(CK_ULONG session, CK_ULONG key, CK_BYTE *signature) {
    CK_MECHANISM ecdsa = {CKM_ECDSA, NULL, 0};
    CK_BYTE digest[32] = {7};
    CK_ULONG length = 64;
    CK_RV rv = p11->C_SignInit(session, &ecdsa, key);
    return rv != CKR_OK ? rv : p11->C_Sign(session, digest, sizeof digest, signature, &length);
}

/* Signs and verifies with the pair of this label. */
__attribute__((unused)) static void p11_round(CK_ULONG session, char *label) {
    CK_MECHANISM ecdsa = {CKM_ECDSA, NULL, 0};
    CK_BYTE digest[32] = {7}, signature[64];
    CK_ULONG private = p11_find(session, CKO_PRIVATE_KEY, label), public = p11_find(session, CKO_PUBLIC_KEY, label);
    CHECK(private != 0);
    CHECK(public != 0);
    OK(p11_sign(session, private, signature));
    OK(p11->C_VerifyInit(session, &ecdsa, public));
    OK(p11->C_Verify(session, digest, sizeof digest, signature, sizeof signature));
}

#endif
