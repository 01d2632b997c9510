/* encrypt_file TOKEN KEY FROM SEALED OPENED: seals a file of any length, opens it again, and says what the sealed one says of
 * itself.
 *
 *     cc encrypt_file.c $(pkg-config --cflags --libs kmss) -o encrypt_file
 *     kmss key generate files --token demo --type aes:256
 *     KMSS_PIN=... ./encrypt_file demo files letter.txt letter.kmss letter.again
 */
#include "example.h"

static void inspect(const char *path) {
    static uint8_t start[65536];
    FILE *file = fopen(path, "rb");
    if (file == NULL) return;
    size_t len = fread(start, 1, sizeof start, file);
    fclose(file);
    char *json = NULL;
    kmss_error *error = NULL;
    check(kmss_inspect(start, len, &json, &error), &error, "cannot inspect");
    puts(json);
    kmss_free(json);
}

int main(int argc, char **argv) {
    if (argc != 6) {
        fputs("usage: encrypt_file TOKEN KEY FROM SEALED OPENED\n", stderr);
        return 2;
    }
    kmss *home = open_home();
    kmss_session *session = log_in(home, argv[1]);
    kmss_error *error = NULL;
    kmss_key *key = NULL;
    check(kmss_find_key(session, argv[2], KMSS_KEY_SECRET, &key, &error), &error, "cannot find the key");

    /* Authenticated with the file, and not in it: whoever opens it says the same. */
    const kmss_pair context[] = {{"purpose", "example"}};
    kmss_seal_options options;
    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    options.keys = &key;
    options.keys_len = 1;
    options.context = context;
    options.context_len = 1;
    check(kmss_file_seal(session, &options, argv[3], argv[4], &error), &error, "cannot seal");
    inspect(argv[4]);
    check(kmss_file_open(session, context, 1, argv[4], argv[5], &error), &error, "cannot open");

    kmss_key_free(key);
    kmss_logout(session);
    kmss_close(home);
    return 0;
}
