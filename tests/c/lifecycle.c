/* lifecycle MODULE TOKEN KEY many|unload|exit|order: beginnings and ends of the module's life. */
#include "p11.h"

static void use(char **argv) {
    CK_ULONG session = p11_open(p11_slot(argv[2]));
    OK(p11_login(session));
    p11_round(session, argv[3]);
}

int main(int argc, char **argv) {
    CHECK(argc == 5);
    p11_load(argv[1]);
    if (!strcmp(argv[4], "many")) {
        for (int n = 0; n < 50; n++) {
            OK(p11_initialize());
            use(argv);
            OK(p11->C_Finalize(NULL));
        }
    } else if (!strcmp(argv[4], "unload")) {
        for (int n = 0; n < 5; n++) {
            CK_RV rv = p11_initialize();
            /* A module that stays loaded is still initialised; one that goes away begins anew. */
            CHECK(rv == CKR_OK || rv == CKR_CRYPTOKI_ALREADY_INITIALIZED);
            CK_ULONG session = p11_open(p11_slot(argv[2]));
            rv = p11_login(session);
            CHECK(rv == CKR_OK || rv == CKR_USER_ALREADY_LOGGED_IN);
            p11_round(session, argv[3]);
            CHECK(dlclose(p11_handle) == 0);
            p11_load(argv[1]);
        }
        CHECK(dlclose(p11_handle) == 0);
    } else if (!strcmp(argv[4], "exit")) {
        OK(p11_initialize());
        use(argv);
        exit(0);
    } else if (!strcmp(argv[4], "order")) {
        CK_BYTE byte;
        CK_ULONG count;
        EXPECT(CKR_CRYPTOKI_NOT_INITIALIZED, p11->C_Finalize(NULL));
        EXPECT(CKR_CRYPTOKI_NOT_INITIALIZED, p11->C_GetSlotList(1, NULL, &count));
        EXPECT(CKR_CRYPTOKI_NOT_INITIALIZED, p11->C_GenerateRandom(1, &byte, 1));
        OK(p11->C_Initialize(NULL));
        EXPECT(CKR_CRYPTOKI_ALREADY_INITIALIZED, p11_initialize());
        use(argv);
        OK(p11->C_Finalize(NULL));
        EXPECT(CKR_CRYPTOKI_NOT_INITIALIZED, p11->C_GenerateRandom(1, &byte, 1));
        EXPECT(CKR_CRYPTOKI_NOT_INITIALIZED, p11->C_Finalize(NULL));
    } else {
        FAIL("unknown scene `%s`", argv[4]);
    }
    puts("ended");
    return 0;
}
