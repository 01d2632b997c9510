//! Random policies and requests, from few words so that they meet.

use super::request::{NOON, Request};
use crate::mechanism::{Hash, KeyType};
use crate::policy::Flags;
use crate::policy::dsl::words::actions;

/// A simple sequence (xorshift64*): equal seeds give equal tests.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16
    }

    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    pub(super) fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    pub(super) fn of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len() as u64) as usize]
    }

    fn list(&mut self, most: u64, separator: &str, mut one: impl FnMut(&mut Self) -> String) -> String {
        let count = 1 + self.below(most);
        (0..count).map(|_| one(self)).collect::<Vec<_>>().join(separator)
    }
}

const NAMES: &[&str] = &["a", "ab", "abc", "order-v1", "order-v2", "a-very-long-name-of-a-service", "ä", ""];
const ROLES: &[&str] = &["clerk", "reader", "custodian", "auditor", "system-administrator", "ops-db", "ops"];
const KEYS: &[&str] = &["payment", "payment_aes", "payment_ec", "user_data", "p", "12345678", "123456789", "a key"];
const TAGS: &[&str] = &["pci", "hr", "test"];
const SPACES: &[&str] = &["main", "prod", "prod-eu"];
const PROGRAMS: &[&str] = &["/usr/sbin/nginx", "/usr/bin/java", "/opt/app"];
const TYPES: &[&str] = &["AES", "RSA", "EC", "HMAC"];
const VALUES: &[&str] = &["x", "xy", "payments", "a b"];
const ENTRIES: &[&str] = &["order", "department"];
const ADDRESSES: &[&str] = &[
    "10.1.2.3",
    "10.0.0.1",
    "192.168.1.77",
    "::1",
    "2001:db8::1",
    "2001:db8:0:0:1:2:3:4",
    "::ffff:10.1.2.3",
    "1.2.3",
    "10.1.2.256",
    "::",
    "1::2::3",
    "fe80::1%eth0",
    "2001:DB8::ABCD",
    "::10.1.2.3",
    "1:2:3:4:5:6:7::",
    "01.2.3.4",
    "::a:b:1.2.3.4",
    "1:2:3:4:5:6:1.2.3.4",
    "12345::",
    "",
];

fn quoted(text: &str) -> String {
    if text.contains(' ') || text.is_empty() { format!("\"{text}\"") } else { text.to_owned() }
}

fn pattern(dice: &mut Dice, all: &[&str]) -> String {
    let text = dice.of(all);
    if text.is_empty() || dice.once_in(3) {
        let end = text.char_indices().map(|(at, _)| at).nth(dice.below(4) as usize).unwrap_or(text.len());
        let start = &text[..end];
        return if start.is_empty() { "*".to_owned() } else { format!("{}*", quoted(start)) };
    }
    quoted(text)
}

fn principal(dice: &mut Dice) -> String {
    match dice.below(12) {
        0 => "anyone".to_owned(),
        1..=4 => format!("service:{}", pattern(dice, NAMES)),
        5..=6 => format!("user:{}", pattern(dice, NAMES)),
        7..=8 => format!("role:{}", pattern(dice, ROLES)),
        9 => format!("group:{}", pattern(dice, ROLES)),
        _ => format!("process:{}", pattern(dice, PROGRAMS)),
    }
}

fn verb(dice: &mut Dice) -> String {
    if dice.once_in(2) {
        return dice.of(&["use", "administer", "authenticate", "anything", "verify signature"]).to_owned();
    }
    let all: Vec<_> = actions().map(|action| action.name()).collect();
    dice.of(&all).to_owned()
}

fn keys(dice: &mut Dice) -> String {
    let mut out = match dice.below(5) {
        0 => return String::new(),
        1..=2 => dice.list(3, ", ", |dice| format!("key:{}", pattern(dice, KEYS))),
        3 => "keys".to_owned(),
        _ => "any key".to_owned(),
    };
    if dice.once_in(3) {
        out += &format!(" tagged {}", dice.list(2, ", ", |dice| dice.of(TAGS).to_owned()));
    }
    if dice.once_in(4) {
        out += &format!(" of type {}", dice.list(2, ", ", |dice| dice.of(TYPES).to_owned()));
    }
    if dice.once_in(4) {
        out += &format!(" in {}", dice.list(2, ", ", |dice| format!("namespace:{}", pattern(dice, SPACES))));
    }
    out
}

fn equality(dice: &mut Dice, mut one: impl FnMut(&mut Dice) -> String) -> String {
    let word = dice.of(&["is", "is not", "in", "not in"]);
    match word {
        "is" | "is not" => format!("{word} {}", one(dice)),
        _ => format!("{word} ({})", dice.list(3, ", ", one)),
    }
}

fn relation(dice: &mut Dice, mut one: impl FnMut(&mut Dice) -> (u64, String)) -> String {
    let (first, low) = one(dice);
    match dice.below(6) {
        0 => format!("<= {low}"),
        1 => format!("> {low}"),
        2 => format!(">= {low}"),
        3 if first > 0 => format!("< {low}"),
        4 => {
            let (second, high) = one(dice);
            if first <= second { format!("between {low} and {high}") } else { format!("between {high} and {low}") }
        }
        _ => equality(dice, |dice| one(dice).1),
    }
}

const DAYS: &[&str] = &["monday", "tue", "friday", "saturday", "sunday"];

fn test(dice: &mut Dice) -> String {
    let time = |dice: &mut Dice| format!("{:02}:{:02}", dice.below(24), dice.below(60));
    match dice.below(17) {
        0 => format!("mechanism {}", equality(dice, |dice| pattern(dice, &["AES_GCM", "ECDSA_SHA256", "SHA256_HMAC"]))),
        1 => {
            let (from, to) = (time(dice), time(dice));
            if from == to { format!("time before {}", "09:00") } else { format!("time between {from} and {to}") }
        }
        2 => format!(
            "time {} {}",
            dice.of(&["before", "after", "<=", ">="]),
            if dice.once_in(2) { "09:00" } else { "17:30" }
        ),
        3 => format!("weekday between {} and {}", dice.of(DAYS), dice.of(DAYS)),
        4 => format!("weekday {}", equality(dice, |dice| dice.of(DAYS).to_owned())),
        5 => format!(
            "date {}",
            relation(dice, |dice| {
                let day = 20 + dice.below(5);
                (day, format!("2026-11-{day}"))
            })
        ),
        6 => format!(
            "size {}",
            relation(dice, |dice| {
                let size = dice.below(4);
                (size, format!("{size} KiB"))
            })
        ),
        7 => format!(
            "source {}",
            equality(dice, |dice| dice
                .of(&[
                    "10.0.0.0/8",
                    "10.1.2.3",
                    "2001:db8::/32",
                    "::/0",
                    "0.0.0.0/0",
                    "::ffff:10.0.0.0/104",
                    "192.168.1.64/26",
                    "::1",
                    "::/96",
                ])
                .to_owned())
        ),
        8 => format!("process {}", equality(dice, |dice| pattern(dice, PROGRAMS))),
        9 => format!(
            "uid {}",
            relation(dice, |dice| {
                let uid = dice.below(3) * 500;
                (uid, uid.to_string())
            })
        ),
        10 => format!("context {} {}", dice.of(ENTRIES), equality(dice, |dice| pattern(dice, VALUES))),
        11 => format!("context has {}", dice.of(ENTRIES)),
        12 => format!(
            "key age {}",
            relation(dice, |dice| {
                let days = dice.below(4);
                (days, format!("{days} days"))
            })
        ),
        13 => format!(
            "key bits {}",
            relation(dice, |dice| {
                let bits = 128 + 64 * dice.below(3);
                (bits, bits.to_string())
            })
        ),
        14 => format!(
            "rate {} per {}",
            relation(dice, |dice| {
                let count = dice.below(5);
                (count, count.to_string())
            }),
            dice.of(&["second", "minute"])
        ),
        15 => format!("{} {}", dice.of(&["tenant", "namespace"]), equality(dice, |dice| pattern(dice, SPACES))),
        _ => dice.of(&["mfa", "interactive", "fips", "session key"]).to_owned(),
    }
}

fn condition(dice: &mut Dice, depth: u32) -> String {
    if depth == 0 || dice.once_in(2) {
        return test(dice);
    }
    match dice.below(4) {
        0 => format!("not ({})", condition(dice, depth - 1)),
        1 => format!("not {}", test(dice)),
        2 => format!("({}) or {}", condition(dice, depth - 1), condition(dice, depth - 1)),
        _ => format!("({}) and ({})", condition(dice, depth - 1), condition(dice, depth - 1)),
    }
}

fn duty(dice: &mut Dice) -> &'static str {
    dice.of(&[
        "require mfa",
        "require 2 of role:custodian",
        "require 3 approvals of role:ops within 1 hour",
        "audit as pci",
        "audit as \"two words\"",
        "at most 100 per minute",
        "at most 5 per 10 minutes",
        "at most 4 KiB",
        "expire after 15 minutes",
        "notify desk",
        "mask all but 4",
    ])
}

/// A policy of up to 24 rules, as text. It may give somebody roles that exclude each other.
pub(super) fn policy(dice: &mut Dice) -> String {
    let mut out = String::new();
    if dice.once_in(2) {
        out += &format!("timezone UTC{}{:02}:30\n", dice.of(&["+", "-"]), dice.below(14));
    }
    for _ in 0..dice.below(4) {
        // Only up the list, so that no role includes itself; the exclusive ones are given rarely.
        let (a, b) = (dice.below(3), dice.below(3));
        if a < b {
            out += &format!("role {} includes {}\n", ROLES[a as usize], ROLES[b as usize]);
        }
        if dice.once_in(2) {
            out += &format!(
                "grant {}:{} to {}\n",
                dice.of(&["role", "group"]),
                dice.of(ROLES),
                loop {
                    let to = principal(dice);
                    if !to.starts_with("process:") {
                        break to;
                    }
                }
            );
        }
    }
    for number in 0..1 + dice.below(24) {
        let deny = dice.once_in(3);
        let who = dice.list(2, ", ", principal);
        let verbs = dice.list(2, ", ", verb);
        out += &format!("{} {who} to {verbs} {}", if deny { "deny" } else { "allow" }, keys(dice));
        if dice.once_in(2) {
            out += &format!(" when {}", condition(dice, 3));
        }
        if !deny && dice.once_in(2) {
            out += &format!(" {}", dice.list(3, " ", |dice| duty(dice).to_owned()));
        }
        if dice.once_in(3) {
            out += &format!(" because \"reason {number}\"");
        }
        out += if dice.once_in(5) { "  # why not\n\n\n" } else { "\n" };
    }
    out
}

pub(super) fn request(dice: &mut Dice) -> Request {
    let all: Vec<_> = actions().collect();
    let action = all[dice.below(all.len() as u64) as usize];
    let principal = format!("{}:{}", dice.of(&["service", "service", "user"]), dice.of(NAMES));
    let key = if dice.once_in(5) { "" } else { dice.of(KEYS) };
    let mut request = Request::new(&principal, action, key);
    let sometimes = |dice: &mut Dice, text: &str| if dice.once_in(3) { String::new() } else { text.to_owned() };
    request.has_key = !dice.once_in(6);
    request.session_key = dice.once_in(4);
    request.mechanism =
        [None, Some("AES_GCM"), Some("ECDSA_SHA256"), Some("SHA256_HMAC"), Some("RSA_PKCS")][dice.below(5) as usize];
    request.time = NOON - 3 * 86_400_000 + dice.below(7 * 86_400_000);
    request.last_second = dice.below(4) as u32;
    request.last_minute = dice.below(6) as u32;
    request.data_len = (!dice.once_in(3)).then(|| dice.below(4 * 1024));
    if dice.once_in(4) {
        request.data_len = Some(dice.below(4) * 1024);
    }
    request.flags = Flags { interactive: dice.once_in(2), mfa: dice.once_in(2), fips: dice.once_in(2) };
    request.uid = [u32::MAX, 0, 500, 1000, 1001][dice.below(5) as usize];
    request.key_type =
        [None, Some(KeyType::Aes), Some(KeyType::Rsa), Some(KeyType::Hmac(Hash::Sha256))][dice.below(4) as usize];
    request.bits = [0, 128, 192, 256][dice.below(4) as usize];
    request.version_age = dice.below(4) * 86_400_000 + dice.below(2);
    request.tags = TAGS.iter().filter(|_| dice.once_in(2)).map(|tag| (*tag).to_owned()).collect();
    request.tags.sort_unstable();
    request.namespace = dice.of(SPACES).to_owned();
    request.tenant = {
        let tenant = dice.of(SPACES);
        sometimes(dice, tenant)
    };
    let roles: Vec<&str> = ROLES.iter().copied().filter(|_| dice.once_in(6)).collect();
    request.roles =
        roles.into_iter().map(|role| if dice.once_in(3) { format!("group:{role}") } else { role.to_owned() }).collect();
    request.process = {
        let program = dice.of(PROGRAMS);
        sometimes(dice, program)
    };
    request.source = dice.of(ADDRESSES).to_owned();
    request.context =
        ENTRIES.iter().filter(|_| dice.once_in(2)).map(|name| ((*name).to_owned(), String::new())).collect();
    for (_, value) in &mut request.context {
        if !dice.once_in(4) {
            *value = dice.of(VALUES).to_owned();
        }
    }
    request.context.sort_unstable();
    request
}
