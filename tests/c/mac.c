/* mac MODULE TOKEN FIRST COUNT: makes AES-CMACs with the token's first secret key, of FIRST bytes, FIRST + 1, and so on, and
 * writes each length to standard output once the module has given the result. */
#include "p11.h"

int main(int argc, char **argv) {
    CHECK(argc == 5);
    long first = atol(argv[3]), count = atol(argv[4]);
    CK_BYTE *data = calloc(1, first + count);
    CHECK(data);
    p11_load(argv[1]);
    OK(p11_initialize());
    CK_ULONG session = p11_open(p11_slot(argv[2])), class = 4, key = 0, found = 0;
    OK(p11_login(session));
    CK_ATTRIBUTE wanted[] = {{CKA_CLASS, &class, sizeof class}};
    OK(p11->C_FindObjectsInit(session, wanted, 1));
    OK(p11->C_FindObjects(session, &key, 1, &found));
    CHECK(found == 1);
    OK(p11->C_FindObjectsFinal(session));
    for (long length = first; length < first + count; length++) {
        CK_MECHANISM cmac = {0x108a, NULL, 0};
        CK_BYTE tag[16];
        CK_ULONG tag_length = sizeof tag;
        OK(p11->C_SignInit(session, &cmac, key));
        OK(p11->C_Sign(session, data, length, tag, &tag_length));
        char said[32];
        int written = snprintf(said, sizeof said, "%ld\n", length);
        CHECK(write(1, said, written) == written);
    }
    OK(p11->C_Finalize(NULL));
    return 0;
}
