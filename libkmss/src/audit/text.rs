//! Text that users control, inside a JSON string: lossless for any bytes, harmless for terminals and line readers.
//!
//! The string's value is *audit text*: well-formed UTF-8 stands for itself, a backslash is doubled, a byte that is not
//! UTF-8 is `\xNN`, and `\+N` at the end says that N more bytes were cut off. JSON escapes come on top of that, for what
//! JSON asks for and for whatever could steer a terminal (control and bidirectional formatting characters).

use super::chain::hex_pair;

/// Appends `bytes`, cut to `limit`, as a JSON string with its quotes.
pub(super) fn push_text(out: &mut Vec<u8>, bytes: &[u8], limit: usize) {
    let kept = cut(bytes, limit);
    out.push(b'"');
    if kept.iter().all(|b| matches!(b, b' '..=b'~') && *b != b'"' && *b != b'\\') {
        out.extend_from_slice(kept);
    } else {
        for chunk in kept.utf8_chunks() {
            chunk.valid().chars().for_each(|c| push_char(out, c));
            for byte in chunk.invalid() {
                out.extend_from_slice(b"\\\\x");
                out.extend_from_slice(&hex_pair(*byte));
            }
        }
    }
    if kept.len() < bytes.len() {
        out.extend_from_slice(b"\\\\+");
        push_number(out, (bytes.len() - kept.len()) as u64);
    }
    out.push(b'"');
}

/// Appends a decimal number.
pub(super) fn push_number(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// The bytes that audit text (a decoded JSON string) stands for, and how many more were cut off.
#[must_use]
pub fn decode(text: &str) -> (Vec<u8>, u64) {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((plain, escape)) = rest.split_once('\\') {
        out.extend_from_slice(plain.as_bytes());
        let hex = escape.strip_prefix('x').and_then(|e| e.get(..2)).and_then(|d| u8::from_str_radix(d, 16).ok());
        if let Some(cut) = escape.strip_prefix('+').and_then(|n| n.parse().ok()) {
            return (out, cut);
        } else if let Some(byte) = hex {
            out.push(byte);
            rest = escape.get(3..).unwrap_or_default();
        } else {
            out.push(b'\\');
            rest = escape.strip_prefix('\\').unwrap_or(escape);
        }
    }
    out.extend_from_slice(rest.as_bytes());
    (out, 0)
}

fn push_char(out: &mut Vec<u8>, c: char) {
    match c {
        '"' => out.extend_from_slice(b"\\\""),
        '\\' => out.extend_from_slice(b"\\\\\\\\"),
        _ if steers(c) => {
            out.extend_from_slice(b"\\u");
            for byte in u16::try_from(u32::from(c)).unwrap_or(0xfffd).to_be_bytes() {
                out.extend_from_slice(&hex_pair(byte));
            }
        }
        _ => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

/// Characters (all below U+10000) that would move a cursor, start an escape sequence or turn the reading direction.
const fn steers(c: char) -> bool {
    matches!(c, '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{61c}' | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

/// At most `limit` bytes, not ending within a character that was whole.
fn cut(bytes: &[u8], limit: usize) -> &[u8] {
    if bytes.len() <= limit {
        return bytes;
    }
    let is_continuation = |at: usize| bytes.get(at).is_some_and(|b| b & 0xc0 == 0x80);
    let end = (0..4).map(|back| limit.saturating_sub(back)).find(|end| !is_continuation(*end)).unwrap_or(limit);
    bytes.get(..end).unwrap_or(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    /// Numbers that look random and are the same in each run (xorshift).
    fn noise(seed: &mut u64) -> u64 {
        *seed ^= *seed << 13;
        *seed ^= *seed >> 7;
        *seed ^= *seed << 17;
        *seed
    }

    fn through_json(bytes: &[u8], limit: usize) -> (Vec<u8>, u64) {
        let mut json = Vec::new();
        push_text(&mut json, bytes, limit);
        assert!(!json.contains(&b'\n') && !json.contains(&0x1b));
        decode(&serde_json::from_slice::<String>(&json).unwrap())
    }

    #[test]
    fn any_bytes_come_back_as_they_were() {
        let mut seed = 0x9e37_79b9_7f4a_7c15;
        for round in 0..20_000_usize {
            let len = usize::try_from(noise(&mut seed) % 40).unwrap();
            let bytes: Vec<u8> = (0..len)
                .map(|_| match noise(&mut seed) % 4 {
                    0 => b"\\\"x+\n0f\x1b"[usize::try_from(noise(&mut seed) % 8).unwrap()],
                    1 => 0xc0 | (noise(&mut seed) as u8),
                    _ => noise(&mut seed) as u8,
                })
                .collect();
            assert_eq!(through_json(&bytes, 256), (bytes.clone(), 0), "round {round}");
        }
    }

    #[test]
    fn every_character_comes_back_as_it_was() {
        for c in (0..=0x0010_ffff).filter_map(char::from_u32).step_by(7).chain('\0'..='\u{ff}') {
            let text = format!("a{c}b");
            assert_eq!(through_json(text.as_bytes(), 256), (text.clone().into_bytes(), 0), "{:x}", u32::from(c));
        }
    }

    #[test]
    fn long_text_is_cut_at_a_character_and_says_how_much_is_missing() {
        assert_eq!(through_json("ééé".as_bytes(), 3), ("é".as_bytes().to_vec(), 4));
        assert_eq!(through_json(&[0x80; 10], 6), (vec![0x80; 6], 4));
        assert_eq!(through_json(b"abc", 0), (Vec::new(), 3));
    }

    #[test]
    fn an_escape_that_users_write_is_not_taken_for_ours() {
        for text in [r"\x41", r"\\x41", r"\+12", r"\"] {
            assert_eq!(through_json(text.as_bytes(), 256), (text.as_bytes().to_vec(), 0));
        }
    }
}
