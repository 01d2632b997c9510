/* abi_keys HOME TOKEN: the lives of keys through the C interface. */
#include "abi.h"

static kmss_session *user, *officer;

static kmss_key *found(const char *name, kmss_key_class class_) {
    kmss_key *key = NULL;
    STATUS(KMSS_OK, kmss_find_key(user, name, class_, &key, &error));
    return key;
}

static kmss_key_info info_of(kmss_key *key) {
    kmss_key_info info;
    memset(&info, 0xff, sizeof info);
    info.size = sizeof info;
    STATUS(KMSS_OK, kmss_key_inspect(user, key, &info, &error));
    return info;
}

static kmss_status encrypts(kmss_key *key) {
    uint8_t out[128];
    size_t len = sizeof out;
    return kmss_encrypt(user, key, 0, NULL, 0, (const uint8_t *)"x", 1, out, &len, NULL);
}

static void states(void) {
    kmss_key *key = NULL;
    kmss_life_options how;
    memset(&how, 0, sizeof how);
    how.size = sizeof how;
    how.why = "a test";
    STATUS(KMSS_OK, kmss_key_generate(user, "life", "aes:256", NULL, &key, &error));
    CHECK(info_of(key).state == KMSS_STATE_ACTIVE && info_of(key).bits == 256 && info_of(key).class_ == KMSS_KEY_SECRET);
    STATUS(KMSS_DENIED, kmss_key_change_life(user, "life", KMSS_LIFE_DISABLE, NULL, &error));
    STATUS(KMSS_OK, kmss_key_change_life(officer, "life", KMSS_LIFE_DISABLE, NULL, &error));
    CHECK(info_of(key).state == KMSS_STATE_DEACTIVATED && encrypts(key) == KMSS_KEY_STATE);
    STATUS(KMSS_OK, kmss_key_change_life(officer, "life", KMSS_LIFE_ENABLE, NULL, &error));
    CHECK(encrypts(key) == KMSS_OK);
    STATUS(KMSS_OK, kmss_key_change_life(officer, "life", KMSS_LIFE_SUSPEND, NULL, &error));
    CHECK(info_of(key).state == KMSS_STATE_SUSPENDED);
    STATUS(KMSS_OK, kmss_key_change_life(officer, "life", KMSS_LIFE_ENABLE, NULL, &error));
    how.days = 3;
    STATUS(KMSS_INVALID_ARGUMENT, kmss_key_change_life(officer, "life", KMSS_LIFE_SCHEDULE_DELETION, &how, &error));
    how.days = 7;
    STATUS(KMSS_OK, kmss_key_change_life(officer, "life", KMSS_LIFE_SCHEDULE_DELETION, &how, &error));
    CHECK(info_of(key).state == KMSS_STATE_PENDING_DELETION && encrypts(key) == KMSS_KEY_STATE);
    STATUS(KMSS_KEY_STATE, kmss_key_destroy(user, "life", &error));
    STATUS(KMSS_OK, kmss_key_change_life(officer, "life", KMSS_LIFE_CANCEL_DELETION, NULL, &error));
    STATUS(KMSS_OK, kmss_key_change_life(officer, "life", KMSS_LIFE_COMPROMISE, &how, &error));
    CHECK(info_of(key).state == KMSS_STATE_COMPROMISED);
    STATUS(KMSS_KEY_STATE, kmss_key_change_life(officer, "life", KMSS_LIFE_ENABLE, NULL, &error));
    STATUS(KMSS_INVALID_ARGUMENT, kmss_key_change_life(officer, "life", 99, NULL, &error));
    STATUS(KMSS_NOT_FOUND, kmss_key_change_life(officer, "nothing", KMSS_LIFE_DISABLE, NULL, &error));
    STATUS(KMSS_OK, kmss_key_destroy(user, "life", &error));
    STATUS(KMSS_NOT_FOUND, kmss_key_inspect(user, key, &(kmss_key_info){.size = sizeof(kmss_key_info)}, &error));
    kmss_key_free(key);
}

static void versions(void) {
    uint8_t sealed[128], plain[8];
    size_t len = sizeof sealed, plain_len = sizeof plain;
    uint32_t version = 0;
    kmss_key *first = NULL;
    STATUS(KMSS_OK, kmss_key_generate(user, "turn", "aes:256", NULL, &first, &error));
    STATUS(KMSS_OK, kmss_encrypt(user, first, 0, NULL, 0, (const uint8_t *)"x", 1, sealed, &len, &error));
    STATUS(KMSS_OK, kmss_key_rotate(user, "turn", 0, &version, &error));
    CHECK(version == 2);
    kmss_key *second = found("turn", KMSS_KEY_SECRET), *former = found("turn@1", KMSS_KEY_SECRET);
    CHECK(info_of(second).version == 2 && memcmp(info_of(former).id, info_of(first).id, 16) == 0);
    CHECK(encrypts(second) == KMSS_OK && encrypts(former) == KMSS_KEY_STATE);
    STATUS(KMSS_OK, kmss_decrypt(user, NULL, 0, sealed, len, plain, &plain_len, &error));
    STATUS(KMSS_OK, kmss_key_rotate(user, "turn", KMSS_NEVER, &version, &error));
    STATUS(KMSS_KEY_STATE, kmss_key_rotate(user, "turn", 0, NULL, &error));
    STATUS(KMSS_OK, kmss_key_activate(user, "turn", &error));
    kmss_key *third = found("turn", KMSS_KEY_SECRET);
    CHECK(version == 3 && info_of(third).version == 3);
    kmss_key *all[] = {first, second, former, third};
    for (size_t n = 0; n < 4; n++) kmss_key_free(all[n]);
}

/* What is due is told of, and done once. */
static void due(const char *name, uint32_t flags, const char *said) {
    char *json = NULL;
    STATUS(KMSS_OK, kmss_rotate_due(user, name, flags, &json, &error));
    if (strstr(json, said) == NULL) FAIL("no `%s` in %s", said, json);
    kmss_free(json);
}

static void rules_of_rotation(void) {
    uint8_t sealed[128];
    size_t len;
    char *json = NULL;
    kmss_rotation rule;
    memset(&rule, 0, sizeof rule);
    kmss_key *key = NULL;
    STATUS(KMSS_OK, kmss_key_generate(user, "worn", "aes:256", NULL, &key, &error));
    STATUS(KMSS_INVALID_ARGUMENT, kmss_key_set_rotation(officer, "worn", &rule, &error));
    rule.size = sizeof rule;
    STATUS(KMSS_INVALID_ARGUMENT, kmss_key_set_rotation(officer, "worn", &rule, &error));
    rule.uses = 2;
    rule.days = 36501;
    STATUS(KMSS_INVALID_ARGUMENT, kmss_key_set_rotation(officer, "worn", &rule, &error));
    rule.days = 90;
    rule.flags = 2;
    STATUS(KMSS_INVALID_ARGUMENT, kmss_key_set_rotation(officer, "worn", &rule, &error));
    rule.flags = KMSS_ROTATION_STRICT;
    STATUS(KMSS_DENIED, kmss_key_set_rotation(user, "worn", &rule, &error));
    STATUS(KMSS_OK, kmss_key_set_rotation(officer, "worn", &rule, &error));
    STATUS(KMSS_NOT_FOUND, kmss_key_set_rotation(officer, "nothing", &rule, &error));
    STATUS(KMSS_INVALID_ARGUMENT, kmss_key_set_rotation(officer, NULL, &rule, &error));
    due(NULL, KMSS_ROTATE_DRY_RUN, "\"step\":\"waits\"");
    for (int n = 0; n < 2; n++) {
        len = sizeof sealed;
        STATUS(KMSS_OK, kmss_encrypt(user, key, 0, NULL, 0, (const uint8_t *)"x", 1, sealed, &len, &error));
    }
    CHECK(encrypts(key) == KMSS_QUOTA_EXCEEDED);
    due("worn", KMSS_ROTATE_DRY_RUN, "\"step\":\"rotate\"");
    due("worn", 0, "\"limit\":2");
    due("worn", 0, "\"step\":\"waits\"");
    due("somebody else", 0, "[]");
    kmss_key *next = found("worn", KMSS_KEY_SECRET);
    CHECK(info_of(next).version == 2 && encrypts(next) == KMSS_OK);
    STATUS(KMSS_OK, kmss_key_versions(user, "worn", &json, &error));
    CHECK(strstr(json, "\"worn@1\"") && strstr(json, "\"worn\"") && strstr(json, "worn@1") < strstr(json, "\"worn\""));
    kmss_free(json);
    STATUS(KMSS_NOT_FOUND, kmss_key_versions(user, "nothing", &json, &error));
    STATUS(KMSS_OK, kmss_key_set_rotation(officer, "worn", NULL, &error));
    due(NULL, 0, "[]");
    STATUS(KMSS_OK, kmss_rotate_due(user, NULL, 0, NULL, &error));
    STATUS(KMSS_INVALID_ARGUMENT, kmss_rotate_due(user, NULL, 4, NULL, &error));
    kmss_key_free(key);
    kmss_key_free(next);
}

static void names(void) {
    const char *tags[] = {"team:pay", "prod"};
    kmss_key_metadata said;
    memset(&said, 0, sizeof said);
    said.size = sizeof said;
    said.owner = "payments";
    said.purpose = "sign";
    kmss_key *pair = NULL;
    STATUS(KMSS_OK, kmss_key_generate(user, "pair", "ec:p256", NULL, &pair, &error));
    STATUS(KMSS_OK, kmss_key_set_metadata(officer, "pair", &said, &error));
    STATUS(KMSS_OK, kmss_key_set_tags(officer, "pair", tags, 2, &error));
    STATUS(KMSS_OK, kmss_alias_set(user, "current", "pair", &error));
    kmss_key_free(found("current", KMSS_KEY_PUBLIC));
    STATUS(KMSS_OK, kmss_alias_set(user, "current", NULL, &error));
    STATUS(KMSS_NOT_FOUND, kmss_alias_set(user, "current", NULL, &error));
    STATUS(KMSS_OK, kmss_key_rename(user, "pair", "couple", &error));
    STATUS(KMSS_OK, kmss_key_schedule(officer, "couple", 0, 4102444800000u, &error));
    char *json = NULL;
    STATUS(KMSS_OK, kmss_key_describe(user, pair, &json, &error));
    CHECK(strstr(json, "\"payments\"") && strstr(json, "team:pay") && strstr(json, "couple") && strstr(json, "4102444800000"));
    kmss_free(json);
    uint8_t *der = NULL;
    size_t len = 0;
    STATUS(KMSS_OK, kmss_key_public_alloc(user, pair, &der, &len, &error));
    CHECK(len == 91 && der[0] == 0x30);
    kmss_free(der);
    kmss_key_free(pair);
}

static void pages(void) {
    char name[32], *json = NULL, after[33] = {0};
    kmss_list_options how;
    int pages = 0, keys = 0;
    for (int n = 0; n < 7; n++) {
        snprintf(name, sizeof name, "page-%d", n);
        STATUS(KMSS_OK, kmss_key_generate(user, name, "hmac:256", NULL, NULL, &error));
    }
    memset(&how, 0, sizeof how);
    how.size = sizeof how;
    how.class_ = KMSS_KEY_SECRET;
    how.limit = 3;
    do {
        STATUS(KMSS_OK, kmss_key_list(user, &how, &json, &error));
        for (const char *at = json; (at = strstr(at, "\"page-")) != NULL; at++) keys++;
        const char *next = strstr(json, "\"next\":\"");
        if (next != NULL) memcpy(after, next + 8, 32);
        how.after = next != NULL ? after : NULL;
        kmss_free(json);
        pages++;
    } while (how.after != NULL && pages < 20);
    /* Each name is there twice: as its label too. */
    CHECK(keys == 14 && pages >= 3);
    how.after = NULL;
    how.class_ = 0;
    how.owner = "payments";
    STATUS(KMSS_OK, kmss_key_list(user, &how, &json, &error));
    CHECK(strstr(json, "couple") != NULL && strstr(json, "page-") == NULL);
    kmss_free(json);
    how.after = "no next";
    STATUS(KMSS_INVALID_ARGUMENT, kmss_key_list(user, &how, &json, &error));
    how.after = NULL;
    how.limit = 1001;
    STATUS(KMSS_INVALID_ARGUMENT, kmss_key_list(user, &how, &json, &error));
}

static void listed(const char *said, int is_there) {
    char *json = NULL;
    STATUS(KMSS_OK, kmss_rule_list(user, &json, &error));
    if ((strstr(json, said) != NULL) != is_there) FAIL("`%s` in %s", said, json);
    kmss_free(json);
}

static void rules(void) {
    const char *types[] = {"aes:256", "ec:256"}, *strange[] = {"aes", NULL};
    kmss_rule rule;
    memset(&rule, 0, sizeof rule);
    STATUS(KMSS_INVALID_ARGUMENT, kmss_rule_set(officer, NULL, NULL, NULL, &error));
    STATUS(KMSS_INVALID_ARGUMENT, kmss_rule_set(officer, NULL, NULL, &rule, &error));
    rule.size = sizeof rule;
    rule.types = strange;
    rule.types_len = 2;
    STATUS(KMSS_INVALID_ARGUMENT, kmss_rule_set(officer, NULL, NULL, &rule, &error));
    rule.types = types;
    rule.preferred = "nothing";
    STATUS(KMSS_INVALID_ARGUMENT, kmss_rule_set(officer, NULL, NULL, &rule, &error));
    rule.preferred = "aes:256";
    rule.rotation_days = 90;
    rule.flags = 2;
    STATUS(KMSS_INVALID_ARGUMENT, kmss_rule_set(officer, NULL, NULL, &rule, &error));
    rule.flags = 0;
    STATUS(KMSS_NOT_LOGGED_IN, kmss_rule_set(user, NULL, NULL, &rule, &error));
    STATUS(KMSS_OK, kmss_rule_set(officer, NULL, NULL, &rule, &error));
    listed("\"rotation_days\":90", 1);
    STATUS(KMSS_DENIED, kmss_key_generate(user, "short", "aes:128", NULL, NULL, &error));
    STATUS(KMSS_OK, kmss_key_generate(user, "long", "aes:256", NULL, NULL, &error));
    due("long", KMSS_ROTATE_DRY_RUN, "\"name\":\"long\"");
    /* Of a service, and of a tenant. */
    rule.owner = "uid:4711";
    STATUS(KMSS_OK, kmss_rule_set(officer, NULL, "billing", &rule, &error));
    listed("\"service\":\"billing\"", 1);
    rule.flags = KMSS_RULE_APART;
    STATUS(KMSS_INVALID_ARGUMENT, kmss_rule_set(officer, NULL, "billing", &rule, &error));
    rule.owner = NULL;
    STATUS(KMSS_OK, kmss_rule_set(user, "default", NULL, &rule, &error));
    listed("\"tenant\":\"default\"", 1);
    STATUS(KMSS_OK, kmss_rule_remove(user, "default", NULL, &error));
    STATUS(KMSS_NOT_FOUND, kmss_rule_remove(user, "default", NULL, &error));
    STATUS(KMSS_NOT_LOGGED_IN, kmss_rule_remove(user, NULL, NULL, &error));
    STATUS(KMSS_OK, kmss_rule_remove(officer, NULL, "billing", &error));
    STATUS(KMSS_OK, kmss_rule_remove(officer, NULL, NULL, &error));
    listed("scope", 0);
    STATUS(KMSS_INVALID_ARGUMENT, kmss_rule_list(user, NULL, &error));
    STATUS(KMSS_OK, kmss_key_generate(user, "short", "aes:128", NULL, NULL, &error));
    /* A key of a service, and another one that it is granted to. */
    kmss_key_metadata said;
    char *json = NULL;
    memset(&said, 0, sizeof said);
    said.size = sizeof said;
    said.service = "billing";
    STATUS(KMSS_OK, kmss_key_set_metadata(officer, "long", &said, &error));
    kmss_key *key = found("long", KMSS_KEY_SECRET);
    CHECK(encrypts(key) == KMSS_DENIED);
    STATUS(KMSS_OK, kmss_key_grant(officer, "long", "reports", 0, &error));
    STATUS(KMSS_OK, kmss_key_grant(officer, "long", "reports", KMSS_GRANT_WITHDRAW, &error));
    STATUS(KMSS_INVALID_ARGUMENT, kmss_key_grant(officer, "long", "reports", 2, &error));
    STATUS(KMSS_INVALID_ARGUMENT, kmss_key_grant(officer, "long", NULL, 0, &error));
    STATUS(KMSS_NOT_FOUND, kmss_key_grant(officer, "nothing", "reports", 0, &error));
    STATUS(KMSS_OK, kmss_key_describe(user, key, &json, &error));
    CHECK(strstr(json, "\"long\"") != NULL);
    kmss_free(json);
    kmss_key_free(key);
}

int main(int argc, char **argv) {
    CHECK(argc == 3);
    const char *pin = getenv("KMSS_PIN"), *so_pin = getenv("KMSS_SO_PIN");
    CHECK(pin != NULL && so_pin != NULL);
    kmss *home = NULL;
    STATUS(KMSS_OK, kmss_open(argv[1], &home, &error));
    STATUS(KMSS_OK, kmss_login(home, argv[2], (const uint8_t *)pin, strlen(pin), &user, &error));
    STATUS(KMSS_OK, kmss_login_officer(home, argv[2], (const uint8_t *)so_pin, strlen(so_pin), &officer, &error));
    STATUS(KMSS_PIN_INCORRECT, kmss_login_officer(home, argv[2], (const uint8_t *)"wrong", 5, &officer, &error));
    states();
    versions();
    rules_of_rotation();
    names();
    pages();
    rules();
    kmss_logout(user);
    kmss_logout(officer);
    kmss_close(home);
    puts("keys hold");
    return 0;
}
