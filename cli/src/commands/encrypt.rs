//! `kmss encrypt`, `decrypt`, `reencrypt`, `datakey`: messages in our own format.

use std::sync::Arc;

use libkmss::key::{KeyClass, Object};
use libkmss::mechanism::{EncryptionContext, KeyType, Native, NativeAlgorithm};
use serde_json::json;

use super::key_type;
use super::stream::{base64, read, read_ciphertext, write};
use crate::args::{DataKeyArgs, DecryptArgs, EncryptArgs, EncryptionContextArgs, MessageAlgorithm, ReencryptArgs};
use crate::context::Context;
use crate::objects::Objects;
use crate::output::{self, Failure};

/// What is too long for one message.
const TOO_LONG: &str = "a message has at most 64 KiB: seal what is longer as a file (`kmss file seal`), or encrypt it under a data key \
                        (`kmss datakey`)";

/// Runs `kmss encrypt`.
///
/// # Errors
/// A sentence for standard error.
pub(super) fn encrypt(context: &Context, args: &EncryptArgs) -> Result<(), Failure> {
    let plaintext = read(&args.input, Native::MAX, TOO_LONG)?;
    let objects = context.objects(&args.token)?;
    let key = secret(&*objects, &args.key)?;
    let native = native(&key, args.algorithm, taken(&args.context)?)?;
    let algorithm = native.algorithm;
    let ciphertext = objects.encrypt_message(&key, native, &plaintext)?;
    objects.close()?;
    if context.global.json {
        return output::json(&json!({
            "key": args.key,
            "algorithm": algorithm.label(),
            "ciphertext": base64(&ciphertext),
        }));
    }
    write(&args.output, &ciphertext, false)
}

/// Runs `kmss decrypt`.
///
/// # Errors
/// A sentence for standard error.
pub(super) fn decrypt(context: &Context, args: &DecryptArgs) -> Result<(), Failure> {
    let ciphertext = read_ciphertext(&args.input)?;
    let objects = context.objects(&args.token)?;
    let plaintext = objects.decrypt_message(&ciphertext, taken(&args.context)?)?;
    objects.close()?;
    if context.global.json {
        return output::json(&json!({ "plaintext": base64(&plaintext) }));
    }
    write(&args.output, &plaintext, true)
}

/// Runs `kmss reencrypt`.
///
/// # Errors
/// A sentence for standard error.
pub(super) fn reencrypt(context: &Context, args: &ReencryptArgs) -> Result<(), Failure> {
    let ciphertext = read_ciphertext(&args.input)?;
    let from = taken(&args.context)?;
    let to = match (args.no_context, args.new_context.is_empty()) {
        (true, _) => EncryptionContext::default(),
        (false, true) => from.clone(),
        (false, false) => EncryptionContext::new(args.new_context.clone())?,
    };
    let objects = context.objects(&args.token)?;
    let key = secret(&*objects, &args.key)?;
    let native = native(&key, args.algorithm, to)?;
    let algorithm = native.algorithm;
    let ciphertext = objects.reencrypt_message(&ciphertext, from, (&key, native))?;
    objects.close()?;
    if context.global.json {
        return output::json(&json!({
            "key": args.key,
            "algorithm": algorithm.label(),
            "ciphertext": base64(&ciphertext),
        }));
    }
    write(&args.output, &ciphertext, false)
}

/// Runs `kmss datakey`.
///
/// # Errors
/// A sentence for standard error.
pub(super) fn data_key(context: &Context, args: &DataKeyArgs) -> Result<(), Failure> {
    let objects = context.objects(&args.token)?;
    let key = secret(&*objects, &args.key)?;
    let native = native(&key, args.algorithm, taken(&args.context)?)?;
    let shown = !args.without_plaintext;
    let made = match &args.pair {
        None => {
            let made = objects.data_key(&key, native, args.bytes.into(), shown)?;
            let plaintext = made.plaintext.map(|key| base64(&key));
            vec![("plaintext", plaintext), ("ciphertext", Some(base64(&made.ciphertext)))]
        }
        Some(text) => {
            let made = objects.data_key_pair(&key, native, key_type::parse(text)?, shown)?;
            let private = made.private.map(|key| base64(&key));
            let (public, ciphertext) = (base64(&made.public), base64(&made.ciphertext));
            vec![("public", Some(public)), ("private", private), ("ciphertext", Some(ciphertext))]
        }
    };
    objects.close()?;
    let made = made.into_iter().filter_map(|(name, value)| value.map(|value| (name, value)));
    if context.global.json {
        let made: serde_json::Map<_, _> = made.map(|(name, value)| (name.to_owned(), value.into())).collect();
        return output::json(&made);
    }
    made.into_iter().try_for_each(|(name, value)| output::line(&format!("{name}: {value}")))
}

/// The secret key of this name.
fn secret(objects: &dyn Objects, name: &str) -> Result<Arc<Object>, Failure> {
    let missing = || format!("there is no secret key `{name}`; `kmss key list` shows what there is");
    Ok(objects.key(name, KeyClass::Secret)?.ok_or_else(missing)?)
}

fn taken(args: &EncryptionContextArgs) -> Result<EncryptionContext, Failure> {
    Ok(EncryptionContext::new(args.context.clone())?)
}

/// How a message is encrypted with `key`.
fn native(key: &Object, asked: Option<MessageAlgorithm>, context: EncryptionContext) -> Result<Native, Failure> {
    let key_type = key.key().ok_or("the object is no key")?.key_type;
    let algorithm = match asked {
        None => NativeAlgorithm::usual(key_type),
        Some(MessageAlgorithm::ChaCha20Poly1305) if key_type == KeyType::ChaCha20 => {
            Some(NativeAlgorithm::ChaCha20OfChaCha20)
        }
        Some(MessageAlgorithm::Aes256Gcm) => Some(NativeAlgorithm::Aes256Gcm),
        Some(MessageAlgorithm::ChaCha20Poly1305) => Some(NativeAlgorithm::ChaCha20Poly1305),
        Some(MessageAlgorithm::Sm4Gcm) => Some(NativeAlgorithm::Sm4Gcm),
        Some(MessageAlgorithm::DeterministicAesSiv) => Some(NativeAlgorithm::DeterministicAesSiv),
    };
    let unfit =
        || format!("messages are encrypted under AES, SM4 and ChaCha20 keys, not under {} ones", key_type.name());
    let algorithm = algorithm.ok_or_else(unfit)?;
    if algorithm.key_type() != key_type {
        let why = format!(
            "{} wants an {} key, and this one is {}",
            algorithm.label(),
            algorithm.key_type().name(),
            key_type.name()
        );
        return Err(why.into());
    }
    Ok(Native { algorithm, context })
}
