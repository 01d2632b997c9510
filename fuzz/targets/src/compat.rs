//! Ciphertexts of business keys and user keys: any bytes are one or an error, and what is one is written as it was read.

use libkmss::compat::{Message, inspect};

/// A ciphertext under a business key, in the long form.
pub const SEED: &[u8] = b"MGwCAQECAgQCAQH/BCB4a7HXJhA/1jKdAd5/EwEIWhH+v5ECceUi4FDnF2g9zaASBBAiaKo5TEdJYLrzz9rt+m/AoRIMEDA0NjFFM0JFRjY1NTUwMDeiCgwIM0ZDNTVFNDSjCgwIMTEwMTUwMDA=";

/// One under a user key, long, and one under a business key, short.
pub const MORE: [&[u8]; 2] = [
    b"MIHSAgECAgIEAgEB/wQgS00dc/dNW2u/1UTOP7X1WJd1u6AtxsGjjx8o3C19+h6gEgQQESIzRFVmd4gRIjNEVWZ3iKESBBC8T5pg59VHVq4/jH46NG9xowoMCDExMDE1MDAwpXAEbjBsAgEBAgIEAgEB/wQgIlk02IpPjQmfOneBPcOXoGM3AIu8n/feDVoVI9OJLj2gEgQQkvMmufHdt/VbspRg5K0n2qESDBBERTJCN0IxNTIwNDUzNTU4ogoMCDNGREVFNjUzowoMCDExMDE1MDAw",
    b"453.0.1.Xv29bFGl1IdX+psJCyPc+2qf2HaSe3388RiO42BrQsE=",
];

/// Takes `data` for a ciphertext.
///
/// # Panics
/// Where what was read is not what is written.
pub fn run(data: &[u8]) {
    let Ok(message) = Message::parse(data) else {
        assert!(inspect(data).is_err());
        return;
    };
    assert!(inspect(data).is_ok());
    let text = message.to_text().unwrap();
    assert_eq!(Message::parse(text.as_bytes()).unwrap(), message);
}
