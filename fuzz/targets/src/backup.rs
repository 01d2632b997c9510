//! Archives of tenants and shares of their keys: any bytes are one, or are refused, and none opens that was not written.

use std::sync::OnceLock;

use libkmss::backend::Backend;
use libkmss::backup::{
    ArchiveHeader, ArchiveKey, ArchiveReader, ArchiveTerms, ArchiveWriter, Items, Share, Summary, split,
};
use libkmss::clock::Timestamp;
use libkmss::suite::Suite;

/// An archive of nothing, its key and a share.
struct Made {
    archive: Vec<u8>,
    key: ArchiveKey,
    share: String,
}

fn made() -> &'static Made {
    static MADE: OnceLock<Made> = OnceLock::new();
    MADE.get_or_init(|| {
        let software = libkmss::kms::software().unwrap();
        let software: &dyn Backend = &*software;
        let random = software.entropy();
        let terms = ArchiveTerms {
            suite: Suite::Nist,
            needed: 2,
            shares: 2,
            epoch: 1,
            created: Timestamp(1),
            tenant: "default",
        };
        let mut header = ArchiveHeader::new(terms, random).unwrap();
        let key = ArchiveKey::fresh(random).unwrap();
        let shares = split(&mut header, &key, &["ann".to_owned(), "bob".to_owned()], random).unwrap();
        let mut archive = Vec::new();
        let mut writer = ArchiveWriter::begin(&header, &key, &mut archive).unwrap();
        writer.put(b"no item is like this").unwrap();
        writer.finish().unwrap();
        Made { archive, key, share: shares.first().unwrap().text().to_string() }
    })
}

/// A small archive.
#[must_use]
pub fn seed() -> &'static [u8] {
    &made().archive
}

/// A share.
#[must_use]
pub fn share() -> &'static str {
    &made().share
}

/// Takes `data` for an archive, and for a share.
///
/// # Panics
/// Where it opens and is not the archive that was written, or is a share and reads otherwise when it is written again.
pub fn run(data: &[u8]) {
    if let Ok(share) = std::str::from_utf8(data).map_err(drop).and_then(|text| Share::parse(text).map_err(drop)) {
        assert_eq!(Share::parse(&share.text()).unwrap(), share);
    }
    let mut rest = data;
    let Ok(header) = ArchiveHeader::read(&mut rest) else { return };
    assert!(data.starts_with(&header.encode()));
    let Ok(reader) = ArchiveReader::begin(&header, &made().key, &mut rest) else { return };
    assert_eq!(data, seed());
    assert!(Summary::read(&header, &mut Items::of(reader), &mut |_| Ok(())).is_err());
}
