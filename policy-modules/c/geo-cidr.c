/*
 * Keys tagged `region:NAME` are used from that region's networks only. A key with several such tags may be used from any
 * of them. Networks that were withdrawn are denied everywhere, also where they lie inside a region. Callers without a
 * network address are processes on this very host, of which this policy does not speak.
 *
 * Change the two tables, build, sign and apply: policy-modules/README.md.
 */
#include "kmss_policy.h"

#define RULES(RULE)                                                                                              \
    RULE(INSIDE, 1, "geo.inside-region", "")                                                                     \
    RULE(OUTSIDE, 2, "geo.outside-region", "this key is used from the networks of its region only")              \
    RULE(WITHDRAWN, 3, "geo.withdrawn", "the network of the caller was withdrawn")                               \
    RULE(NO_ADDRESS, 4, "geo.unreadable-address", "the address of the caller is neither an IPv4 nor an IPv6 address") \
    RULE(NO_REGION, 5, "geo.unknown-region", "no network is known for the region of this key")
KMSS_RULES(RULES)

/* 128 bits, IPv4 addresses as ::ffff:a.b.c.d (RFC 4291, section 2.5.5.2). */
typedef struct {
    uint64_t high, low;
    uint32_t bits;
} network;

#define V4(a, b, c, d, length) {0, 0xFFFF00000000ULL | (uint64_t)(a) << 24 | (b) << 16 | (c) << 8 | (d), 96 + (length)}
#define V6(a, b, c, d, length) {(uint64_t)(a) << 48 | (uint64_t)(b) << 32 | (uint64_t)(c) << 16 | (d), 0, (length)}

static const struct {
    char region[8];
    uint32_t length;
    network network;
} regions[] = {
    {"eu", 2, V4(10, 10, 0, 0, 16)},
    {"eu", 2, V4(192, 0, 2, 0, 24)},
    {"eu", 2, V6(0x2001, 0xdb8, 0x10, 0, 48)},
    {"cn", 2, V4(10, 86, 0, 0, 16)},
    {"cn", 2, V6(0x2001, 0xdb8, 0x86, 0, 48)},
    {"us", 2, V4(10, 1, 0, 0, 16)},
    {"us", 2, V6(0x2001, 0xdb8, 0x1, 0, 48)},
};

static const network withdrawn[] = {V4(10, 10, 66, 0, 24), V6(0x2001, 0xdb8, 0x10, 0x66, 64)};

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

KMSS_INLINE bool is_inside(uint64_t high, uint64_t low, const network *net) {
    uint64_t high_mask = net->bits >= 64 ? ~0ULL : net->bits == 0 ? 0 : ~0ULL << (64 - net->bits);
    uint64_t low_mask = net->bits <= 64 ? 0 : ~0ULL << (128 - net->bits);
    return ((high ^ net->high) & high_mask) == 0 && ((low ^ net->low) & low_mask) == 0;
}

/* The value of a hexadecimal digit, or 16. */
KMSS_INLINE uint32_t digit_value(char c) {
    return c >= '0' && c <= '9'   ? (uint32_t)(c - '0')
           : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a' + 10)
           : c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A' + 10)
                                  : 16;
}

/* Four decimal numbers from `at` to the end; ~0 where they are none. No leading zeros, which some read as octal. */
KMSS_INLINE uint64_t parse_v4(kmss_text text, uint32_t at) {
    uint64_t address = 0;
    for (uint32_t part = 0; part < 4; part++) {
        if (part > 0 && (at >= text.length || text.bytes[at++] != '.')) {
            return ~0ULL;
        }
        uint32_t start = at, value = 0;
        while (at < text.length && digit_value(text.bytes[at]) < 10 && at - start < 3) {
            value = value * 10 + digit_value(text.bytes[at++]);
        }
        if (at == start || value > 255 || (text.bytes[start] == '0' && at - start > 1)) {
            return ~0ULL;
        }
        address = address << 8 | value;
    }
    return at == text.length ? address : ~0ULL;
}

static kmss_decision decide_from(const kmss_request *request, uint64_t high, uint64_t low) {
    for (uint32_t i = 0; i < COUNT(withdrawn); i++) {
        if (is_inside(high, low, &withdrawn[i])) {
            return kmss_deny(WITHDRAWN, NULL);
        }
    }
    bool known = false;
    for (uint32_t tag = 0; tag < request->tags.length; tag++) {
        kmss_text name = kmss_entry(request, request->tags, tag);
        if (!KMSS_STARTS_WITH(name, "region:")) {
            continue;
        }
        name.bytes += sizeof("region:") - 1;
        name.length -= sizeof("region:") - 1;
        for (uint32_t i = 0; i < COUNT(regions); i++) {
            if (name.length == regions[i].length && kmss_has_prefix(name, regions[i].region, name.length)) {
                known = true;
                if (is_inside(high, low, &regions[i].network)) {
                    return kmss_allow(INSIDE, NULL);
                }
            }
        }
    }
    return known ? kmss_deny(OUTSIDE, NULL) : kmss_deny(NO_REGION, NULL);
}

static bool has_region(const kmss_request *request) {
    for (uint32_t tag = 0; tag < request->tags.length; tag++) {
        if (KMSS_STARTS_WITH(kmss_entry(request, request->tags, tag), "region:")) {
            return true;
        }
    }
    return false;
}

static kmss_decision decide(const kmss_request *request) {
    kmss_text text = kmss_text_at(request, request->source);
    if (text.length == 0 || !has_region(request)) {
        return kmss_not_applicable();
    }
    uint64_t v4 = parse_v4(text, 0);
    if (v4 != ~0ULL) {
        return decide_from(request, 0, 0xFFFF00000000ULL | v4);
    }
    /* IPv6 (RFC 4291, section 2.2): groups before and behind one `::`, each kept as 128 bits. */
    uint64_t high = 0, low = 0, front_high = 0, front_low = 0;
    uint32_t groups = 0, front = 0, at = 0;
    bool gap = false;
    if (text.length >= 2 && text.bytes[0] == ':' && text.bytes[1] == ':') {
        gap = true;
        at = 2;
    }
    while (at < text.length) {
        if (front + groups == 8) {
            return kmss_deny(NO_ADDRESS, NULL);
        }
        uint32_t value = 0, start = at;
        while (at < text.length && at - start < 4 && digit_value(text.bytes[at]) < 16) {
            value = value << 4 | digit_value(text.bytes[at++]);
        }
        if (at < text.length && text.bytes[at] == '.') {
            v4 = parse_v4(text, start);
            if (v4 == ~0ULL || front + groups > 6) {
                return kmss_deny(NO_ADDRESS, NULL);
            }
            high = high << 32 | low >> 32;
            low = low << 32 | v4;
            groups += 2;
            at = text.length;
            break;
        }
        if (at == start) {
            return kmss_deny(NO_ADDRESS, NULL);
        }
        high = high << 16 | low >> 48;
        low = low << 16 | value;
        groups++;
        if (at == text.length) {
            break;
        }
        if (text.bytes[at++] != ':' || at == text.length) {
            return kmss_deny(NO_ADDRESS, NULL);
        }
        if (text.bytes[at] == ':') {
            if (gap) {
                return kmss_deny(NO_ADDRESS, NULL);
            }
            gap = true;
            front_high = high;
            front_low = low;
            front = groups;
            high = low = groups = 0;
            at++;
        }
    }
    if (gap ? front + groups > 7 : groups != 8) {
        return kmss_deny(NO_ADDRESS, NULL);
    }
    if (front > 0) {
        for (uint32_t i = front; i < 8; i++) {
            front_high = front_high << 16 | front_low >> 48;
            front_low <<= 16;
        }
    }
    return decide_from(request, high | front_high, low | front_low);
}

KMSS_POLICY(decide)
