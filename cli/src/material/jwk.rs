//! JSON Web Keys (RFC 7517, 7518, 8037).

use base64ct::{Base64UrlUnpadded, Encoding as _};
use libkmss::key::{KeyComponents, PublicComponents, Usage};
use libkmss::mechanism::{Curve, Hash, KeyType};
use libkmss::secret::Secret;
use serde::Deserialize;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::{Incoming, Item, asn1};
use crate::output::Failure;

/// The members of a JWK that say what a key is.
#[derive(Deserialize, Zeroize, ZeroizeOnDrop)]
struct Jwk {
    kty: String,
    crv: Option<String>,
    alg: Option<String>,
    kid: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    n: Option<String>,
    e: Option<String>,
    d: Option<String>,
    p: Option<String>,
    q: Option<String>,
    dp: Option<String>,
    dq: Option<String>,
    qi: Option<String>,
    #[zeroize(skip)]
    oth: Option<serde::de::IgnoredAny>,
    x: Option<String>,
    y: Option<String>,
    k: Option<String>,
}

/// One key.
///
/// # Errors
/// It is no JWK, a member is missing or damaged, or its kind is not offered.
pub(super) fn parse(bytes: &[u8]) -> Result<Incoming, Failure> {
    // The cause would quote what the file holds.
    let jwk: Jwk = serde_json::from_slice(bytes)
        .map_err(|e| format!("the file is no JSON Web Key (line {}); of a set, give one key", e.line()))?;
    let item = match jwk.kty.as_str() {
        "RSA" => Item::Key(rsa(&jwk)?),
        "EC" => Item::Key(ec(&jwk)?),
        "OKP" => Item::Key(okp(&jwk)?),
        "oct" => oct(&jwk)?,
        other => return Err(format!("JSON Web Keys of type `{other}` are not offered").into()),
    };
    Ok(Incoming { item, name: jwk.kid.clone(), uses: uses(&jwk)? })
}

fn rsa(jwk: &Jwk) -> Result<KeyComponents, Failure> {
    if jwk.oth.is_some() {
        return Err("RSA keys of more than two primes are not offered".into());
    }
    let (modulus, exponent) = (public("n", &jwk.n)?, public("e", &jwk.e)?);
    let Some(_) = jwk.d else {
        return Ok(KeyComponents::Public(PublicComponents::Rsa { modulus, exponent }));
    };
    let optional = |member, value: &Option<String>| match value {
        Some(_) => secret(member, value),
        None => Ok(Secret::copy_of(&[])),
    };
    Ok(KeyComponents::RsaPrivate {
        modulus,
        exponent,
        private_exponent: secret("d", &jwk.d)?,
        prime_1: optional("p", &jwk.p)?,
        prime_2: optional("q", &jwk.q)?,
        exponent_1: optional("dp", &jwk.dp)?,
        exponent_2: optional("dq", &jwk.dq)?,
        coefficient: optional("qi", &jwk.qi)?,
    })
}

fn ec(jwk: &Jwk) -> Result<KeyComponents, Failure> {
    let curve = match jwk.crv.as_deref() {
        Some("P-256") => Curve::P256,
        Some("P-384") => Curve::P384,
        Some("P-521") => Curve::P521,
        Some("secp256k1") => Curve::Secp256k1,
        other => return Err(format!("the curve `{}` is not offered", other.unwrap_or_default()).into()),
    };
    if jwk.d.is_some() {
        return asn1::scalar(curve, secret("d", &jwk.d)?.expose());
    }
    let point = [vec![4], public("x", &jwk.x)?, public("y", &jwk.y)?].concat();
    Ok(KeyComponents::Public(PublicComponents::Ec { curve, point }))
}

fn okp(jwk: &Jwk) -> Result<KeyComponents, Failure> {
    let known = [Curve::Ed25519, Curve::X25519, Curve::Ed448, Curve::X448];
    let named = jwk.crv.as_deref().unwrap_or_default();
    let curve = known.into_iter().find(|curve| curve.name() == named);
    let curve = curve.ok_or_else(|| format!("the curve `{named}` is not offered"))?;
    if jwk.d.is_some() {
        return Ok(KeyComponents::EcPrivate { curve, scalar: secret("d", &jwk.d)? });
    }
    Ok(KeyComponents::Public(PublicComponents::Ec { curve, point: public("x", &jwk.x)? }))
}

/// A secret key, whose type only `alg` tells (RFC 7518, 3.1, 4.1 and 5.1).
fn oct(jwk: &Jwk) -> Result<Item, Failure> {
    let value = secret("k", &jwk.k)?;
    let key_type = match jwk.alg.as_deref() {
        Some("HS256") => KeyType::Hmac(Hash::Sha256),
        Some("HS384") => KeyType::Hmac(Hash::Sha384),
        Some("HS512") => KeyType::Hmac(Hash::Sha512),
        Some(
            "A128KW" | "A192KW" | "A256KW" | "A128GCM" | "A192GCM" | "A256GCM" | "A128GCMKW" | "A192GCMKW"
            | "A256GCMKW",
        ) => KeyType::Aes,
        _ => return Ok(Item::Untyped(value)),
    };
    Ok(Item::Key(KeyComponents::Secret { key_type, value }))
}

/// What `key_ops` or `use` allow (RFC 7517, 4.2 and 4.3); the public half of a pair gets the counterpart of each.
fn uses(jwk: &Jwk) -> Result<Option<Usage>, Failure> {
    let words: Vec<&str> = match (&jwk.key_ops, jwk.purpose.as_deref()) {
        (Some(ops), _) => ops.iter().map(String::as_str).collect(),
        (None, Some("sig")) => vec!["sign", "verify"],
        (None, Some("enc")) => vec!["encrypt", "decrypt", "wrapKey", "unwrapKey", "deriveKey"],
        (None, None) => return Ok(None),
        (None, Some(other)) => return Err(format!("`{other}` is no use of a key").into()),
    };
    let mut usage = Usage::default();
    for word in words {
        match word {
            "sign" | "verify" => (usage.sign, usage.verify) = (true, true),
            "encrypt" | "decrypt" => (usage.encrypt, usage.decrypt) = (true, true),
            "wrapKey" | "unwrapKey" => (usage.wrap, usage.unwrap) = (true, true),
            "deriveKey" | "deriveBits" => usage.derive = true,
            other => return Err(format!("`{other}` is no operation of a key").into()),
        }
    }
    Ok(Some(usage))
}

fn public(member: &str, value: &Option<String>) -> Result<Vec<u8>, Failure> {
    let text = value.as_deref().ok_or_else(|| format!("the JSON Web Key has no `{member}`"))?;
    Base64UrlUnpadded::decode_vec(text).map_err(|_| format!("`{member}` of the JSON Web Key is no base64url").into())
}

fn secret(member: &str, value: &Option<String>) -> Result<Secret, Failure> {
    let bytes = Zeroizing::new(public(member, value)?);
    Ok(Secret::copy_of(&bytes))
}

/// A public key as a JWK.
///
/// # Errors
/// No standard says how to write this kind.
pub(crate) fn describe(key: &PublicComponents, name: &str) -> Result<serde_json::Value, Failure> {
    let mut members = libkmss::jose::describe(key)?;
    members.insert("kid".to_owned(), name.into());
    Ok(members.into())
}

/// A key with its secret as a JWK. `public` is its public half, where it has one.
///
/// # Errors
/// No standard says how to write this kind.
pub(crate) fn describe_private(
    key: &KeyComponents,
    public: &PublicComponents,
    name: &str,
) -> Result<Zeroizing<Vec<u8>>, Failure> {
    // Built by hand: values of a JSON library are not wiped.
    let text = |bytes: &Secret| Zeroizing::new(Base64UrlUnpadded::encode_string(bytes.expose()));
    let mut members: Vec<(&str, Zeroizing<String>)> = Vec::new();
    let head = match key {
        KeyComponents::Secret { key_type, value } => {
            members.push(("k", text(value)));
            let alg = match key_type {
                KeyType::Hmac(Hash::Sha256) => Some("HS256"),
                KeyType::Hmac(Hash::Sha384) => Some("HS384"),
                KeyType::Hmac(Hash::Sha512) => Some("HS512"),
                _ => None,
            };
            let mut head = serde_json::json!({ "kty": "oct", "kid": name });
            if let (Some(alg), Some(object)) = (alg, head.as_object_mut()) {
                object.insert("alg".to_owned(), alg.into());
            }
            head
        }
        KeyComponents::RsaPrivate {
            private_exponent, prime_1, prime_2, exponent_1, exponent_2, coefficient, ..
        } => {
            let secrets = [private_exponent, prime_1, prime_2, exponent_1, exponent_2, coefficient];
            let named = ["d", "p", "q", "dp", "dq", "qi"].into_iter().zip(secrets);
            members.extend(named.map(|(member, value)| (member, text(value))));
            describe(public, name)?
        }
        KeyComponents::EcPrivate { scalar, .. } => {
            members.push(("d", text(scalar)));
            describe(public, name)?
        }
        KeyComponents::Public(public) => describe(public, name)?,
        _ => return Err("no standard says how to write such keys as a JSON Web Key".into()),
    };
    let head = head.to_string();
    let mut out = Zeroizing::new(Vec::with_capacity(head.len() + 64 + 2 * 8192));
    out.extend_from_slice(head.strip_suffix('}').unwrap_or(&head).as_bytes());
    for (member, value) in &members {
        for part in [",\"", member, "\":\"", value, "\""] {
            out.extend_from_slice(part.as_bytes());
        }
    }
    out.extend_from_slice(b"}\n");
    Ok(out)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    #[test]
    fn the_example_keys_of_the_standard_are_read() {
        // RFC 8037, A.1.
        let okp = br#"{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
            "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"mine","key_ops":["sign"]}"#;
        let read = parse(okp).unwrap();
        assert_eq!(read.name.as_deref(), Some("mine"));
        assert!(read.uses.unwrap().sign && !read.uses.unwrap().encrypt);
        let Item::Key(KeyComponents::EcPrivate { curve: Curve::Ed25519, scalar }) = read.item else { panic!("no key") };
        assert_eq!(scalar.len(), 32);
        // RFC 7517, A.3.
        let aes = br#"{"kty":"oct","alg":"A128KW","k":"GawgguFyGrWKav7AX4VKUg"}"#;
        let Item::Key(KeyComponents::Secret { key_type, value }) = parse(aes).unwrap().item else { panic!("no key") };
        assert_eq!((key_type, value.len()), (KeyType::Aes, 16));
    }

    #[test]
    fn what_is_written_is_read_again() {
        let keys = [
            PublicComponents::Rsa { modulus: vec![0xF1; 256], exponent: vec![1, 0, 1] },
            PublicComponents::Ec { curve: Curve::P521, point: [vec![4], vec![3; 132]].concat() },
            PublicComponents::Ec { curve: Curve::Ed25519, point: vec![9; 32] },
        ];
        for key in keys {
            let text = describe(&key, "k").unwrap().to_string();
            let Item::Key(KeyComponents::Public(read)) = parse(text.as_bytes()).unwrap().item else { panic!("{text}") };
            assert_eq!(read, key);
        }
        let sm2 = PublicComponents::Ec { curve: Curve::Sm2, point: vec![4; 65] };
        assert!(describe(&sm2, "k").is_err());
    }

    #[test]
    fn what_is_written_with_its_secret_is_read_again() {
        let public = PublicComponents::Ec { curve: Curve::P256, point: [vec![4], vec![3; 64]].concat() };
        let key = KeyComponents::EcPrivate { curve: Curve::P256, scalar: Secret::copy_of(&[7; 32]) };
        let text = describe_private(&key, &public, "a \"name\"").unwrap();
        let read = parse(&text).unwrap();
        assert_eq!(read.name.as_deref(), Some("a \"name\""));
        let Item::Key(KeyComponents::EcPrivate { scalar, .. }) = read.item else { panic!("no key") };
        assert_eq!(scalar.expose(), [7; 32]);
        let key = KeyComponents::Secret { key_type: KeyType::Hmac(Hash::Sha384), value: Secret::copy_of(&[9; 48]) };
        let text = describe_private(&key, &public, "k").unwrap();
        let Item::Key(KeyComponents::Secret { key_type, value }) = parse(&text).unwrap().item else { panic!("no key") };
        assert_eq!((key_type, value.expose().len()), (KeyType::Hmac(Hash::Sha384), 48));
    }

    #[test]
    fn errors_do_not_quote_the_key() {
        for bad in [
            r#"{"kty":"oct","k":"top secret"}"#,
            r#"{"kty":"oct","k":7,"secret":"top secret"}"#,
            r#"{"kty":"EC","crv":"P-256","d":"top secret"}"#,
        ] {
            let said = parse(bad.as_bytes()).err().unwrap().to_string();
            assert!(!said.contains("top secret"), "{said}");
        }
    }
}
