#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
use super::*;

/// A memory with a response of these entries at address 8.
fn memory(entries: &[(u16, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (kind, value) in entries {
        body.extend(kind.to_le_bytes());
        body.extend((value.len() as u16).to_le_bytes());
        body.extend_from_slice(value);
    }
    let total = body.len() as u32 + 4;
    [&[0xEE; 8], &total.to_le_bytes()[..], &body].concat()
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn read(entries: &[(u16, &[u8])]) -> Result<(String, Vec<Obligation>), ResponseError> {
    decode(&memory(entries), 8)
}

#[test]
fn every_duty_and_the_reason_are_read_critical_or_not() {
    let quorum = [&words(&[2, 600])[..], b"custodian"].concat();
    let (reason, obligations) = read(&[
        (1, b"pci"),
        (0x8002, &words(&[100, 60])),
        (3, &5_000_000_000_u64.to_le_bytes()),
        (0x8004, b""),
        (5, &quorum),
        (6, &words(&[900])),
        (7, b"security"),
        (16, "weil es so ist – né".as_bytes()),
        (8, &[4]),
        (0x7F00, b"of the future, not critical"),
    ])
    .unwrap();
    assert_eq!(reason, "weil es so ist – né");
    let expected = [
        Obligation::AuditTag("pci".to_owned()),
        Obligation::RateLimit { count: 100, seconds: 60 },
        Obligation::MaximumData(5_000_000_000),
        Obligation::StepUp,
        Obligation::Quorum { approvals: 2, role: "custodian".to_owned(), window: 600 },
        Obligation::SessionExpiry(900),
        Obligation::Notify("security".to_owned()),
        Obligation::Mask(4),
    ];
    assert_eq!(obligations, expected);
    assert_eq!(decode(&[], 0), Ok((String::new(), Vec::new())));
    assert_eq!(read(&[]), Ok((String::new(), Vec::new())));
}

#[test]
fn an_unknown_duty_denies_where_it_is_critical() {
    for kind in [0, 9, 15, 17, 0x7FFF] {
        assert_eq!(read(&[(kind | CRITICAL, b"")]), Err(ResponseError::Unknown(kind)));
        assert!(read(&[(kind, b"")]).is_ok());
    }
}

#[test]
fn values_out_of_their_limits_are_refused() {
    let long = [b'x'; MAX_TEXT + 1];
    let reason = [b'x'; MAX_REASON + 1];
    let cases: &[(u16, &[u8])] = &[
        (1, b""),
        (1, &long),
        (1, b"two\nlines"),
        (1, b"\xFF"),
        (2, &words(&[1, 0])),
        (2, &words(&[1, 86_401])),
        (2, &words(&[1])),
        (2, &words(&[1, 1, 1])),
        (3, &words(&[1])),
        (4, b"x"),
        (5, &words(&[2, 0])),
        (5, &[&words(&[0, 0])[..], b"r"].concat()),
        (5, &[&words(&[0x102, 0])[..], b"r"].concat()),
        (6, b""),
        (7, b""),
        (8, b""),
        (8, b"xx"),
        (16, b""),
        (16, &reason),
    ];
    for (kind, value) in cases {
        assert_eq!(read(&[(*kind, value)]), Err(ResponseError::Value(*kind)), "{kind} {value:?}");
    }
    assert_eq!(read(&[(16, b"a"), (16, b"b")]), Err(ResponseError::TwoReasons));
    assert!(read(&[(4, &[][..]); MAX_ENTRIES]).is_ok());
    assert_eq!(read(&[(4, &[][..]); MAX_ENTRIES + 1]), Err(ResponseError::TooMany));
}

#[test]
fn a_response_never_reaches_out_of_memory_or_past_its_length() {
    let good = memory(&[(1, b"tag"), (16, b"why")]);
    for cut in 0..good.len() {
        assert_eq!(decode(&good[..cut], 8), Err(ResponseError::Bounds), "{cut}");
    }
    for pointer in [good.len() as u32 - 3, good.len() as u32, u32::MAX, u32::MAX - 3] {
        assert_eq!(decode(&good, pointer), Err(ResponseError::Bounds));
    }
    for total in [0, 3, MAX_RESPONSE as u32 + 1, u32::MAX] {
        let mut bytes = good.clone();
        bytes.resize(8192, 0);
        bytes[8..12].copy_from_slice(&total.to_le_bytes());
        assert_eq!(decode(&bytes, 8), Err(ResponseError::Bounds));
    }
    for total in 5..good.len() as u32 - 8 {
        let mut bytes = good.clone();
        bytes[8..12].copy_from_slice(&total.to_le_bytes());
        let read = decode(&bytes, 8);
        assert_eq!(read.is_ok(), total == 11, "{total}: {read:?}");
    }
}
