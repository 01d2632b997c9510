#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use super::*;

const BUSINESS_LONG: &str = "MGwCAQECAgQCAQH/BCB4a7HXJhA/1jKdAd5/EwEIWhH+v5ECceUi4FDnF2g9zaASBBAiaKo5TEdJYLrzz9rt+m/AoRIMEDA0NjFFM0JFRjY1NTUwMDeiCgwIM0ZDNTVFNDSjCgwIMTEwMTUwMDA=";

fn sealed(plain: usize) -> Sealed {
    let ciphertext = vec![7; (plain / BLOCK + 1) * BLOCK];
    Sealed { algorithm: SM4_CBC, padded: true, ciphertext, iv: [9; BLOCK] }
}

fn business(plain: usize) -> Business {
    let application = Application::parse("11015000").unwrap();
    Business {
        sealed: sealed(plain),
        key: [0xD0, 0x46, 0x1E, 0x3B, 0xEF, 0x65, 0x50, 0x07],
        check: [1, 2, 3, 4],
        application,
    }
}

#[test]
fn every_form_has_the_lengths_that_others_count_on() {
    let lengths = [
        (16, 148, 284, 116, 44),
        (50, 192, 328, 160, 88),
        (100, 256, 392, 224, 152),
        (150, 320, 460, 288, 216),
        (200, 388, 524, 356, 280),
    ];
    for (plain, long, user_long, user_short, short) in lengths {
        let text = |message: &Message| {
            let text = message.to_text().unwrap();
            assert_eq!(Message::parse(text.as_bytes()).unwrap(), *message);
            text
        };
        let application = Application::parse("11015000").unwrap();
        let user = |long| Message::User { sealed: sealed(plain), key: [5; 16], long };
        assert_eq!(text(&Message::Business(business(plain))).len(), long);
        assert_eq!(text(&user(Some((application, Box::new(business(16)))))).len(), user_long);
        assert_eq!(text(&user(None)).len(), user_short);
        let dotted = text(&Message::Short { key: 453, version: 0, iv: 1, ciphertext: sealed(plain).ciphertext });
        assert_eq!(dotted.len(), short + "453.0.1.".len());
    }
}

#[test]
fn the_example_of_the_format_is_read_and_written_again() {
    let Message::Business(example) = Message::parse(BUSINESS_LONG.as_bytes()).unwrap() else { panic!("another kind") };
    assert_eq!((example.sealed.algorithm, example.sealed.padded), (SM4_CBC, true));
    assert_eq!(example.sealed.ciphertext.len(), 32);
    assert_eq!(example.to_text().unwrap(), BUSINESS_LONG);
    let said = inspect(BUSINESS_LONG.as_bytes()).unwrap();
    assert_eq!((said.format, said.kind, said.algorithm.as_str()), ("business-long", "business", "SM4-CBC"));
    assert_eq!(said.key, "0461E3BEF6555007");
    assert_eq!((said.key_check.as_deref(), said.application.as_deref()), (Some("3FC55E44"), Some("11015000")));
    let der = Base64::decode_vec(BUSINESS_LONG).unwrap();
    assert_eq!(inspect(&der).unwrap(), said);
}

#[test]
fn ciphertexts_of_user_keys_are_read_and_written_again() {
    let long = "MIHSAgECAgIEAgEB/wQgS00dc/dNW2u/1UTOP7X1WJd1u6AtxsGjjx8o3C19+h6gEgQQESIzRFVmd4gRIjNEVWZ3iKESBBC8T5pg59VHVq4/jH46NG9xowoMCDExMDE1MDAwpXAEbjBsAgEBAgIEAgEB/wQgIlk02IpPjQmfOneBPcOXoGM3AIu8n/feDVoVI9OJLj2gEgQQkvMmufHdt/VbspRg5K0n2qESDBBERTJCN0IxNTIwNDUzNTU4ogoMCDNGREVFNjUzowoMCDExMDE1MDAw";
    let short = "MFQCAQICAgQCAQH/BCAKgj2GbuHVroLsiVEY2Ch4ZtQnwTwW7anJcbPr3oYnQaASBBARIjNEVWZ3iBEiM0RVZneIoRIEEA9Pb7H2p0dWqKTcVsLsDpc=";
    for text in [long, short] {
        assert_eq!(Message::parse(text.as_bytes()).unwrap().to_text().unwrap(), text);
    }
    let said = inspect(long.as_bytes()).unwrap();
    assert_eq!((said.format, said.user_key.unwrap().key.as_str()), ("user-long", "DE2B7B1520453558"));
    assert_eq!(inspect(short.as_bytes()).unwrap().format, "user-short");
}

#[test]
fn what_a_ciphertext_says_of_itself_is_told() {
    let short = inspect(b"453.0.1.Xv29bFGl1IdX+psJCyPc+2qf2HaSe3388RiO42BrQsE=\n").unwrap();
    assert_eq!(
        (short.format, short.key.as_str(), short.key_version, short.iv_number),
        ("business-short", "453", Some(0), Some(1))
    );
    let application = Application::parse("11015000").unwrap();
    let long = Message::User { sealed: sealed(16), key: [5; 16], long: Some((application, Box::new(business(16)))) };
    let said = inspect(long.to_text().unwrap().as_bytes()).unwrap();
    assert_eq!((said.format, said.key.as_str()), ("user-long", "05050505050505050505050505050505"));
    assert_eq!(said.user_key.unwrap().key, "D0461E3BEF655007");
}

#[test]
fn whatever_is_wrong_is_one_error() {
    let good = business(16).to_text().unwrap();
    let mut der = Base64::decode_vec(&good).unwrap();
    der.push(0);
    let mut wrong =
        vec![der.clone(), Vec::new(), b"....".to_vec(), b"1.2.3".to_vec(), b"1.2.3.AAAA".to_vec(), b"01.0.1.".to_vec()];
    wrong.push(b"1.0.1.AAAAAAAAAAAAAAAAAAAAAA==.".to_vec());
    wrong.push(b"99999999999999999999.0.1.AAAAAAAAAAAAAAAAAAAAAA==".to_vec());
    wrong.push(good.replace('M', "N").into_bytes());
    wrong.push(vec![b'A'; MAX_TEXT + 1]);
    // A user ciphertext in the place of a wrapped user key.
    der.pop();
    for at in 0..der.len() {
        wrong.push(der[..at].to_vec());
    }
    for bad in wrong {
        let error = Message::parse(&bad).unwrap_err();
        assert_eq!((error.kind(), error.message()), (refused().kind(), refused().message()), "{bad:?}");
    }
}

#[test]
fn vectors_are_those_of_their_key_algorithm_and_number() {
    assert_eq!(user_iv(&[1; 16], SM4_CBC), user_iv(&[1; 16], SM4_CBC));
    assert_ne!(user_iv(&[1; 16], SM4_CBC), user_iv(&[2; 16], SM4_CBC));
    assert_ne!(user_iv(&[1; 16], SM4_CBC), user_iv(&[1; 16], 0x0401));
    assert_ne!(business_iv(1, SM4_CBC, 1), business_iv(1, SM4_CBC, 2));
    assert_ne!(business_iv(1, SM4_CBC, 1), business_iv(2, SM4_CBC, 1));
    assert!(Application::parse("1101500").is_err() && Application::parse("1101500a").is_err());
}
