//! How the record of a domain names keys in devices.

use crate::device::WrappingKey;
use crate::error::{Error, ErrorKind, Result};

/// Length of what [`encode`] makes.
pub(super) fn len(key: &WrappingKey) -> usize {
    texts(key).iter().map(|text| 1 + text.len()).sum()
}

/// How many there are.
pub(super) fn count(keys: &[WrappingKey]) -> Result<u8> {
    u8::try_from(keys.len()).map_err(|_| {
        let why = "too many old keys wait to be destroyed in HSMs: run `kmss domain rewrap` where these are reached";
        Error::new(ErrorKind::Arguments, why)
    })
}

pub(super) fn encode(key: &WrappingKey) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(len(key));
    for text in texts(key) {
        let long = |_| Error::new(ErrorKind::Arguments, "a key in an HSM has too long a name");
        out.push(u8::try_from(text.len()).map_err(long)?);
        out.extend_from_slice(text.as_bytes());
    }
    Ok(out)
}

/// The key, and what is behind it.
pub(super) fn decode(record: &[u8]) -> Option<(WrappingKey, &[u8])> {
    let mut rest = record;
    let mut text = || {
        let (len, after) = rest.split_first()?;
        let text;
        (text, rest) = after.split_at_checked(usize::from(*len))?;
        String::from_utf8(text.to_vec()).ok()
    };
    let key = WrappingKey { hsm: text()?, serial: text()?, key: text()?, mechanism: text()? };
    Some((key, rest))
}

const fn texts(key: &WrappingKey) -> [&String; 4] {
    [&key.hsm, &key.serial, &key.key, &key.mechanism]
}
