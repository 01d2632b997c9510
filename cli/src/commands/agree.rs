//! `kmss derive`, `encapsulate` and `decapsulate`: keys that follow from keys.

use std::sync::Arc;

use libkmss::key::{Expected, KeyClass, KeyComponents, KeySpec, Object, PublicComponents};
use libkmss::mechanism::{EcMechanism, EcdhKdf, Hkdf, HkdfSalt, Kbkdf, KdfMechanism, KeyType, Mechanism};
use libkmss::operation::{Draft, Encapsulate};
use libkmss::secret::Secret;

use super::key::parse_hex;
use super::key_import::{self, Wanted};
use super::{import, key, key_type, signature};
use crate::args::{DecapsulateArgs, DerivationFunction, DeriveSecretArgs, EncapsulateArgs, NewSecretArgs};
use crate::context::Context;
use crate::material::{self, Item};
use crate::objects::Objects;
use crate::output::{self, Failure};

/// Runs `kmss derive`.
///
/// # Errors
/// A sentence for standard error.
pub(super) fn derive(context: &Context, args: &DeriveSecretArgs) -> Result<(), Failure> {
    let objects = context.objects(&args.new.token.token)?;
    let class = match args.kdf {
        DerivationFunction::Ecdh => KeyClass::Private,
        DerivationFunction::Hkdf | DerivationFunction::Kbkdf => KeyClass::Secret,
    };
    let base = source(&*objects, &args.key, class, &args.new)?;
    require_base(&base, &args.key)?;
    let made = objects.derive(&base, function(args)?, wanted(&*objects, &args.new)?)?;
    objects.close()?;
    told(context, "Derived", &made, &args.new, None)
}

/// Runs `kmss encapsulate`.
///
/// # Errors
/// A sentence for standard error.
pub(super) fn encapsulate(context: &Context, args: &EncapsulateArgs) -> Result<(), Failure> {
    let objects = context.objects(&args.new.token.token)?;
    let with = source(&*objects, &args.key, KeyClass::Public, &args.new)?;
    let how = Encapsulate::usual(with.key().ok_or("it is no key")?.key_type)?;
    // Before there is a key that only this ciphertext leads to.
    import::require_absent(&args.out)?;
    let (made, ciphertext) = objects.encapsulate(&with, how, wanted(&*objects, &args.new)?)?;
    if let Err(e) = import::write(&args.out, &ciphertext) {
        // Nobody else can make this key any more.
        objects.destroy(&made).map_err(|left| {
            format!(
                "{e}; the key `{}` is there without its ciphertext, and could not be destroyed: {left}",
                args.new.name
            )
        })?;
        return Err(e);
    }
    objects.close()?;
    let file = args.out.display();
    let then = format!("The holder of the private half makes the same key of `{file}` (kmss decapsulate).");
    told(context, "Made", &made, &args.new, Some(&then))
}

/// Runs `kmss decapsulate`.
///
/// # Errors
/// A sentence for standard error; of a ciphertext for another key none, where ML-KEM says so: the keys differ then.
pub(super) fn decapsulate(context: &Context, args: &DecapsulateArgs) -> Result<(), Failure> {
    let objects = context.objects(&args.new.token.token)?;
    let with = source(&*objects, &args.key, KeyClass::Private, &args.new)?;
    let how = Encapsulate::usual(with.key().ok_or("it is no key")?.key_type)?;
    let ciphertext = material::read(&args.input)?;
    let made = objects.decapsulate(&with, how, &ciphertext, wanted(&*objects, &args.new)?)?;
    objects.close()?;
    told(context, "Made", &made, &args.new, None)
}

/// The key that the new one follows from, where the new one's name is free.
fn source(objects: &dyn Objects, name: &str, class: KeyClass, new: &NewSecretArgs) -> Result<Arc<Object>, Failure> {
    let token = &new.token.token;
    let half = match class {
        KeyClass::Secret => "secret key",
        KeyClass::Private => "private key",
        KeyClass::Public => "public key",
    };
    let found = objects.key(name, class)?.ok_or_else(|| format!("no {half} named `{name}` in token `{token}`"))?;
    key::require_new(objects, &new.name, token)?;
    Ok(found)
}

/// Refuses keys of ciphers, and says what keys are derived from instead.
fn require_base(base: &Object, name: &str) -> Result<(), Failure> {
    match base.key().map(|key| key.key_type) {
        Some(of @ (KeyType::Aes | KeyType::Sm4 | KeyType::ChaCha20)) => Err(format!(
            "`{name}` is a key of type {}, which encrypts: keys are derived from a secret of type hmac:BITS (kmss key generate NAME \
             --type hmac:256)",
            of.name()
        )
        .into()),
        _ => Ok(()),
    }
}

/// What the new key is to be.
fn wanted(objects: &dyn Objects, new: &NewSecretArgs) -> Result<(Expected, Draft), Failure> {
    let KeySpec::Secret { key_type, len } = key_type::parse(&new.key_type)? else {
        return Err(format!("`{}` is no type of secret keys", new.key_type).into());
    };
    let wanted = Wanted::named(&new.name, &new.wishes, &new.key_type)?;
    let draft = key_import::draft(objects, (key_type, KeyClass::Secret), &wanted, None)?;
    Ok((Expected { key_type, len: Some(len) }, draft))
}

fn function(args: &DeriveSecretArgs) -> Result<Mechanism, Failure> {
    let unknown = || format!("`{}` is no hash: say sha256, sha384, sha512, sha3-256, sm3 and so on", args.hash);
    let hash = signature::hash(&args.hash).ok_or_else(unknown)?;
    let info = match (&args.info, &args.info_hex) {
        (Some(text), _) => text.clone().into_bytes(),
        (None, Some(hex)) => parse_hex(hex)?,
        (None, None) => Vec::new(),
    };
    if args.salt.is_some() && args.kdf != DerivationFunction::Hkdf {
        return Err("--salt is for hkdf".into());
    }
    if args.peer.is_some() && args.kdf != DerivationFunction::Ecdh {
        return Err("--peer is for ecdh".into());
    }
    Ok(match args.kdf {
        DerivationFunction::Hkdf => {
            let salt = args.salt.as_deref().map(parse_hex).transpose()?.map_or(HkdfSalt::Zeros, HkdfSalt::Bytes);
            Mechanism::Kdf(KdfMechanism::Hkdf(Hkdf { hash, extract: true, expand: true, salt, info }))
        }
        DerivationFunction::Kbkdf => Mechanism::Kdf(KdfMechanism::Kbkdf(Kbkdf::counter(hash, info))),
        DerivationFunction::Ecdh => {
            let (kdf, public) = (EcdhKdf::X963(hash), peer(args)?);
            Mechanism::Ec(EcMechanism::Ecdh { kdf, public, shared_info: info })
        }
    })
}

/// The other side's point.
fn peer(args: &DeriveSecretArgs) -> Result<Vec<u8>, Failure> {
    let file = args.peer.as_deref().ok_or("say whose public key it is agreed with (--peer)")?;
    let nobody = || -> Result<Secret, Failure> { Err("the file is encrypted: a public key is enough".into()) };
    for incoming in material::parse(&material::read(file)?, &nobody)? {
        if let Item::Key(KeyComponents::Public(PublicComponents::Ec { point, .. })) = incoming.item {
            return Ok(point);
        }
    }
    Err(format!("`{}` holds no public key on a curve", file.display()).into())
}

fn told(
    context: &Context,
    deed: &str,
    made: &Arc<Object>,
    new: &NewSecretArgs,
    then: Option<&str>,
) -> Result<(), Failure> {
    if context.global.json {
        return output::json(&key::describe(made));
    }
    let key = made.key().ok_or("the new object is no key")?;
    output::line(&format!(
        "{deed} {} key `{}` in token `{}` (CKA_ID {}).",
        report::describe(key),
        output::plain(&key.name),
        output::plain(&new.token.token),
        output::hex(&made.identifier)
    ))?;
    then.map_or(Ok(()), output::line)
}
