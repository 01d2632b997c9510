//! Guests of `kmss-policy/1` (docs/policy-abi.md), put together by hand: what they say is what a test wants said.

/// Where the host writes requests to.
const BUFFER: u32 = 1024;
/// Where the response stands.
const RESPONSE: u32 = 32_768;

/// Verdict of a guest: no.
pub const DENY: u8 = 0;
/// Verdict of a guest: yes.
pub const ALLOW: u8 = 1;

/// A guest that always answers with this verdict and these entries of a response.
#[must_use]
pub fn answering(verdict: u8, entries: &[(u16, &[u8])]) -> Vec<u8> {
    let body = entries.iter().flat_map(|(kind, value)| {
        let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
        [&kind.to_le_bytes()[..], &length.to_le_bytes(), value].concat()
    });
    let body: Vec<u8> = body.collect();
    let total = u32::try_from(body.len() + 4).unwrap_or(u32::MAX);
    answering_bytes(verdict, &[&total.to_le_bytes()[..], &body].concat())
}

/// A guest that always answers with this verdict and whatever these bytes are.
#[must_use]
pub fn answering_bytes(verdict: u8, response: &[u8]) -> Vec<u8> {
    let answer = i64::from(RESPONSE) << 32 | 1 << 8 | i64::from(verdict);
    // i64.const
    module(&[&[0x42][..], &signed(answer)].concat(), response, &[])
}

/// A guest that allows data of `low` to `high` bytes, and denies everything else, also a length that is not known. What it
/// says of the `sizes` that it tells apart is in its section, if it says so.
#[must_use]
pub fn allowing_sizes(low: i64, high: i64, sizes: Option<&[u64]>) -> Vec<u8> {
    let field = i64::from(BUFFER) + 40;
    // i64.load(field) - low <= high - low, unsigned.
    let code = [&[0x41][..], &signed(field), &[0x29, 3, 0, 0x42], &signed(low), &[0x7d, 0x42], &signed(high - low)];
    let body = [&code.concat()[..], &[0x58, 0xad]].concat();
    let section = sizes.map(|all| all.iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<_>>());
    let sections: Vec<(&str, &[u8])> = section.iter().map(|bytes| ("kmss.sizes", bytes.as_slice())).collect();
    module(&body, &[], &sections)
}

/// The module: `kmss_decide` is `body`, which leaves an i64; `data` stands where responses do.
fn module(body: &[u8], data: &[u8], custom: &[(&str, &[u8])]) -> Vec<u8> {
    let name = |name: &str| [&unsigned(name.len())[..], name.as_bytes()].concat();
    let function = |code: &[u8]| [&unsigned(code.len() + 2)[..], &[0], code, &[0x0b]].concat();
    let int = |value: u32| [&[0x41][..], &signed(i64::from(value))].concat();
    let section = |id: u8, content: &[u8]| [&[id][..], &unsigned(content.len()), content].concat();
    // () -> i32 and (i32) -> i64.
    let types = [2, 0x60, 0, 1, 0x7f, 0x60, 1, 0x7f, 1, 0x7e];
    let exports = [("memory", 2, 0), ("kmss_abi", 0, 0), ("kmss_buf", 0, 1), ("kmss_decide", 0, 2)];
    let exports: Vec<u8> = exports.iter().flat_map(|(n, kind, at)| [&name(n)[..], &[*kind, *at]].concat()).collect();
    let code = [&[3][..], &function(&int(1 << 16)), &function(&int(BUFFER)), &function(body)].concat();
    let data = [&[1, 0][..], &int(RESPONSE), &[0x0b], &unsigned(data.len()), data].concat();
    let sections = [
        section(1, &types),
        section(3, &[3, 0, 0, 1]),
        section(5, &[1, 1, 1, 1]),
        section(7, &[&[4][..], &exports].concat()),
        section(10, &code),
        section(11, &data),
    ];
    let custom = custom.iter().map(|(title, content)| section(0, &[&name(title)[..], content].concat()));
    b"\0asm\x01\0\0\0".iter().copied().chain(sections.into_iter().chain(custom).flatten()).collect()
}

/// LEB128 of a length.
fn unsigned(mut value: usize) -> Vec<u8> {
    let mut out = Vec::new();
    loop {
        let byte = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            out.push(byte);
            return out;
        }
        out.push(byte | 0x80);
    }
}

/// Signed LEB128.
fn signed(mut value: i64) -> Vec<u8> {
    let mut out = Vec::new();
    loop {
        let byte = value.cast_unsigned() as u8 & 0x7f;
        value >>= 7;
        if (value == 0 && byte & 0x40 == 0) || (value == -1 && byte & 0x40 != 0) {
            out.push(byte);
            return out;
        }
        out.push(byte | 0x80);
    }
}
