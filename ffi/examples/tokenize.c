/* tokenize TOKEN KEY CARD: puts a token in the place of a card number, gets the number back, and shows what many may see of it.
 *
 *     cc tokenize.c $(pkg-config --cflags --libs kmss) -o tokenize
 *     kmss key generate cards --token demo --type aes:256
 *     KMSS_PIN=... ./tokenize demo cards 4111-1111-1111-1111
 */
#include "example.h"

int main(int argc, char **argv) {
    if (argc != 4) {
        fputs("usage: tokenize TOKEN KEY CARD\n", stderr);
        return 2;
    }
    kmss *home = open_home();
    kmss_session *session = log_in(home, argv[1]);
    kmss_error *error = NULL;
    kmss_key *key = NULL;
    check(kmss_find_key(session, argv[2], KMSS_KEY_SECRET, &key, &error), &error, "cannot find the key");

    kmss_token_options options;
    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    options.format = "card";
    uint8_t *token = NULL, *value = NULL;
    size_t token_len = 0, value_len = 0;
    check(kmss_tokenize_alloc(session, key, &options, (const uint8_t *)argv[3], strlen(argv[3]), &token, &token_len, &error), &error,
          "cannot tokenize");
    printf("token  %s\n", (const char *)token);
    check(kmss_detokenize_alloc(session, key, &options, token, token_len, &value, &value_len, &error), &error, "cannot detokenize");
    printf("value  %s\n", (const char *)value);
    kmss_free(value);
    options.flags = KMSS_TOKEN_MASKED;
    check(kmss_detokenize_alloc(session, key, &options, token, token_len, &value, &value_len, &error), &error, "cannot read it");
    printf("masked %s\n", (const char *)value);

    kmss_free(value);
    kmss_free(token);
    kmss_key_free(key);
    kmss_logout(session);
    kmss_close(home);
    return 0;
}
