/* memory MODULE TOKEN: uses keys whose value it knows, then looks for them in all memory that a core dump of this process
 * would hold. The values are kept masked here, so that only copies of the module's are found. */
#include "p11.h"
#include <stdint.h>

enum { MASK = 0x5a, ROOM = 512 };

/* A value to look for, masked. */
typedef struct {
    const char *what;
    CK_BYTE masked[ROOM];
    CK_ULONG length;
} Wanted;

static Wanted wanted[8];
static int count;

/* Remembers a value and wipes it. */
static void remember(const char *what, CK_BYTE *value, CK_ULONG length) {
    CHECK(length >= 16 && length <= ROOM && count < 8);
    Wanted *w = &wanted[count++];
    w->what = what;
    w->length = length;
    for (CK_ULONG n = 0; n < length; n++) w->masked[n] = value[n] ^ MASK;
    explicit_bzero(value, length);
}

/* Where a wanted value, in this or the other byte order, begins; the first 16 bytes of either end say so. */
static int starts_here(const Wanted *w, const volatile CK_BYTE *at, int reversed) {
    for (CK_ULONG n = 0; n < 16; n++) {
        if (at[n] != (CK_BYTE)(w->masked[reversed ? w->length - 1 - n : n] ^ MASK)) return 0;
    }
    return 1;
}

static int search(uintptr_t from, uintptr_t to, const char *name) {
    int found = 0;
    for (uintptr_t at = from; at + 16 <= to; at++) {
        for (int n = 0; n < count; n++) {
            for (int reversed = 0; reversed < 2; reversed++) {
                if (starts_here(&wanted[n], (const volatile CK_BYTE *)at, reversed)) {
                    fprintf(stderr, "%s lies in the clear at %#lx in %s\n", wanted[n].what, (unsigned long)at, name);
                    found++;
                }
            }
        }
    }
    return found;
}

/* Looks through everything that is mapped, readable, private and not kept out of dumps. */
static int look(void) {
    static char line[1024], name[1024];
    uintptr_t from = 0, to = 0;
    char mode[8] = "";
    int found = 0;
    FILE *maps = fopen("/proc/self/smaps", "r");
    CHECK(maps != NULL);
    static char buffer[1 << 16];
    setvbuf(maps, buffer, _IOFBF, sizeof buffer);
    while (fgets(line, sizeof line, maps)) {
        unsigned long a, b;
        if (sscanf(line, "%lx-%lx %7s %*s %*s %*s %1023[^\n]", &a, &b, mode, name) >= 3) {
            from = a, to = b;
            if (!strchr(line, '/') && !strchr(line, '[')) strcpy(name, "anonymous memory");
        } else if (!strncmp(line, "VmFlags:", 8)) {
            int hidden = strstr(line, " dd") || mode[0] != 'r' || mode[1] != 'w' || strstr(name, "[v");
            if (!hidden) found += search(from, to, name);
        }
    }
    fclose(maps);
    return found;
}

static CK_ULONG session;

static CK_ULONG secret(const char *what, CK_ULONG type, CK_BYTE first) {
    CK_ULONG class = 4, key = 0;
    CK_BYTE value[32], yes = 1;
    for (int n = 0; n < 32; n++) value[n] = (CK_BYTE)((first + n * 29) ^ (n << 3));
    CK_ATTRIBUTE template[] = {{CKA_CLASS, &class, sizeof class},
                               {0x100, &type, sizeof type},
                               {CKA_TOKEN, &yes, 1},
                               {CKA_VALUE, value, sizeof value}};
    OK(p11->C_CreateObject(session, template, 4, &key));
    remember(what, value, sizeof value);
    return key;
}

/* A pair whose private part can be read, to know what to look for. */
static CK_ULONG pair(const char *what, CK_ULONG mechanism, CK_ATTRIBUTE parameter, CK_ULONG part) {
    CK_BYTE yes = 1, no = 0, value[ROOM];
    CK_ULONG public = 0, private = 0;
    CK_MECHANISM generate = {mechanism, NULL, 0};
    CK_ATTRIBUTE one[] = {{CKA_TOKEN, &yes, 1}, parameter};
    CK_ATTRIBUTE two[] = {{CKA_TOKEN, &yes, 1}, {0x103, &no, 1}, {0x162, &yes, 1}};
    OK(p11->C_GenerateKeyPair(session, &generate, one, 2, two, 3, &public, &private));
    CK_ATTRIBUTE read = {part, value, sizeof value};
    OK(p11->C_GetAttributeValue(session, private, &read, 1));
    remember(what, value, read.length);
    return private;
}

static void sign(CK_ULONG key, CK_ULONG mechanism) {
    CK_BYTE data[32] = {1}, signature[ROOM];
    CK_ULONG length = sizeof signature;
    CK_MECHANISM how = {mechanism, NULL, 0};
    OK(p11->C_SignInit(session, &how, key));
    OK(p11->C_Sign(session, data, sizeof data, signature, &length));
}

static void encrypt(CK_ULONG key, CK_MECHANISM how) {
    CK_BYTE data[64] = {1}, out[128];
    CK_ULONG length = sizeof out;
    OK(p11->C_EncryptInit(session, &how, key));
    OK(p11->C_Encrypt(session, data, sizeof data, out, &length));
}

/* A session key that came in wrapped. */
static CK_ULONG unwrapped(const char *what, CK_ULONG wrapping, CK_BYTE first) {
    CK_ULONG class = 4, type = 0x1f, key = 0, length;
    CK_BYTE value[32], wrapped[64], no = 0;
    for (int n = 0; n < 32; n++) value[n] = (CK_BYTE)((first + n * 31) ^ (n << 2));
    CK_MECHANISM how = {0x210B, NULL, 0};
    CK_ATTRIBUTE template[] = {{CKA_CLASS, &class, sizeof class},
                               {0x100, &type, sizeof type},
                               {CKA_TOKEN, &no, 1},
                               {CKA_VALUE, value, sizeof value}};
    OK(p11->C_CreateObject(session, template, 4, &key));
    length = sizeof wrapped;
    OK(p11->C_WrapKey(session, &how, wrapping, key, wrapped, &length));
    OK(p11->C_DestroyObject(session, key));
    OK(p11->C_UnwrapKey(session, &how, wrapping, wrapped, length, template, 3, &key));
    remember(what, value, sizeof value);
    return key;
}

int main(int argc, char **argv) {
    CHECK(argc == 3);
    p11_load(argv[1]);
    OK(p11_initialize());
    session = p11_open(p11_slot(argv[2]));
    OK(p11_login(session));

    CK_BYTE curve[] = {6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7}, edwards[] = {6, 3, 0x2b, 0x65, 0x70};
    CK_BYTE iv[16] = {9};
    struct { void *iv; CK_ULONG length, bits; void *aad; CK_ULONG aad_length, tag_bits; } gcm = {iv, 12, 0, NULL, 0, 128};
    CK_ULONG bits = 2048;
    CK_ULONG aes = secret("an AES key", 0x1f, 11), generic = secret("an HMAC key", 0x10, 77);
    CK_ULONG ec = pair("a P-256 scalar", 0x1040, (CK_ATTRIBUTE){0x180, curve, sizeof curve}, CKA_VALUE);
    CK_ULONG ed = pair("an Ed25519 seed", 0x1055, (CK_ATTRIBUTE){0x180, edwards, sizeof edwards}, CKA_VALUE);
    CK_ULONG rsa = pair("an RSA prime", 0, (CK_ATTRIBUTE){0x121, &bits, sizeof bits}, 0x124);
    CK_ULONG came = unwrapped("an unwrapped session key", aes, 19), used = unwrapped("another", aes, 111);
    (void)came;
    for (int n = 0; n < 3; n++) {
        encrypt(used, (CK_MECHANISM){0x1087, &gcm, sizeof gcm});
        encrypt(aes, (CK_MECHANISM){0x1087, &gcm, sizeof gcm});
        encrypt(aes, (CK_MECHANISM){0x1082, iv, 16});
        encrypt(aes, (CK_MECHANISM){0x1081, NULL, 0});
        sign(aes, 0x108a);
        sign(generic, 0x251);
        sign(ec, CKM_ECDSA);
        sign(ed, 0x1057);
        sign(rsa, 0x40);
    }
    /* What lies on the stack from calls that ended is part of a dump, too. */
    int found = look();
    if (found) FAIL("%d copies of key material would be in a core dump", found);
    puts("no key would be in a core dump");
    OK(p11->C_Finalize(NULL));
    return 0;
}
