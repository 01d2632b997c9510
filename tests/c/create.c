/* create MODULE TOKEN PREFIX COUNT data|pairs: makes token objects and writes the label of each to standard output
 * once the module has acknowledged it. */
#include "p11.h"

int main(int argc, char **argv) {
    CHECK(argc == 6);
    long total = atol(argv[4]);
    int pairs = !strcmp(argv[5], "pairs");
    p11_load(argv[1]);
    OK(p11_initialize());
    CK_ULONG session = p11_open(p11_slot(argv[2]));
    OK(p11_login(session));
    for (long n = 0; n < total; n++) {
        char label[64];
        CK_BYTE yes = 1, curve[] = {6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7};
        CK_ULONG class = CKO_DATA, object = 0, other = 0;
        int length = snprintf(label, sizeof label, "%s-%ld", argv[3], n);
        if (pairs) {
            CK_MECHANISM generate = {0x1040, NULL, 0};
            CK_ATTRIBUTE public[] = {{0x180, curve, sizeof curve}, {CKA_TOKEN, &yes, 1}, {CKA_LABEL, label, length}};
            CK_ATTRIBUTE private[] = {{CKA_TOKEN, &yes, 1}, {CKA_PRIVATE, &yes, 1}, {CKA_LABEL, label, length}};
            OK(p11->C_GenerateKeyPair(session, &generate, public, 3, private, 3, &other, &object));
        } else {
            CK_ATTRIBUTE data[] = {{CKA_CLASS, &class, sizeof class},
                                   {CKA_TOKEN, &yes, 1},
                                   {CKA_PRIVATE, &yes, 1},
                                   {CKA_LABEL, label, length},
                                   {CKA_VALUE, label, length}};
            OK(p11->C_CreateObject(session, data, 5, &object));
        }
        label[length] = '\n';
        CHECK(write(1, label, length + 1) == length + 1);
    }
    OK(p11->C_Finalize(NULL));
    return 0;
}
