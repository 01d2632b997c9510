/* identity MODULE again|once: prints what names slots, tokens and objects, in one life of the module or the same in two.
 * One line for each token ("slot N serial S label L"), followed by one for each of its objects ("object L unique U"). */
#include "p11.h"

enum { CKA_UNIQUE_ID = 4, CKF_TOKEN_INITIALIZED = 0x400, MANY = 64 };

/* Appends to the text of one life, which must not outgrow its place. */
static void tell(char *text, size_t room, const char *word, const void *value, size_t length) {
    size_t used = strlen(text);
    CHECK(used + strlen(word) + length + 1 < room);
    sprintf(text + used, "%s%.*s", word, (int)length, (const char *)value);
}

/* A padded field ends where its blanks begin. */
static size_t shown(const CK_BYTE *field, size_t length) {
    while (length && field[length - 1] == ' ') length--;
    return length;
}

static void objects(CK_ULONG slot, char *text, size_t room) {
    CK_ULONG session = p11_open(slot), found[MANY], count = 0;
    OK(p11_login(session));
    OK(p11->C_FindObjectsInit(session, NULL, 0));
    OK(p11->C_FindObjects(session, found, MANY, &count));
    OK(p11->C_FindObjectsFinal(session));
    for (CK_ULONG n = 0; n < count; n++) {
        CK_BYTE label[64], unique[64];
        CK_ULONG class = 0;
        CK_ATTRIBUTE asked[] = {
            {CKA_LABEL, label, sizeof label}, {CKA_UNIQUE_ID, unique, sizeof unique}, {CKA_CLASS, &class, sizeof class}};
        char number[24];
        OK(p11->C_GetAttributeValue(session, found[n], asked, 3));
        tell(text, room, "object ", label, asked[0].length);
        tell(text, room, " class ", number, (size_t)sprintf(number, "%lu", class));
        tell(text, room, " unique ", unique, asked[1].length);
        tell(text, room, "\n", "", 0);
    }
    OK(p11->C_CloseSession(session));
}

static void life(char *text, size_t room) {
    CK_ULONG slots[MANY], count = MANY;
    OK(p11_initialize());
    OK(p11->C_GetSlotList(1, slots, &count));
    for (CK_ULONG n = 0; n < count; n++) {
        CK_TOKEN_INFO info;
        char number[24];
        OK(p11->C_GetTokenInfo(slots[n], &info));
        if (!(info.flags & CKF_TOKEN_INITIALIZED)) continue;
        tell(text, room, "slot ", number, (size_t)sprintf(number, "%lu", slots[n]));
        tell(text, room, " serial ", info.serial, shown(info.serial, sizeof info.serial));
        tell(text, room, " label ", info.label, shown(info.label, sizeof info.label));
        tell(text, room, "\n", "", 0);
        /* CKF_USER_PIN_INITIALIZED: a token that was just initialised has nobody to log in. */
        if (info.flags & 0x8) objects(slots[n], text, room);
    }
    OK(p11->C_Finalize(NULL));
}

int main(int argc, char **argv) {
    static char first[1 << 16], second[1 << 16];
    CHECK(argc == 3);
    p11_load(argv[1]);
    life(first, sizeof first);
    if (!strcmp(argv[2], "again")) {
        life(second, sizeof second);
        if (strcmp(first, second)) FAIL("another life, other names:\n%s---\n%s", first, second);
    }
    fputs(first, stdout);
    return 0;
}
