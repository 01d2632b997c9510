//! `kmss sign`, `verify`, `mac`, `hash`, `random`.

use std::fs::{self, File};
use std::io::Read;
use std::process::ExitCode;
use std::sync::Arc;

use base64ct::{Base64, Encoding as _};
use libkmss::caller::Caller;
use libkmss::key::{KeyClass, Object};
use libkmss::kms::Kms;
use libkmss::mechanism::Mechanism;
use libkmss::operation::{Digest, DrawRandom};
use remote::proto;
use serde_json::json;
use zeroize::Zeroizing;

use super::key::parse_hex;
use super::signature::{self, Signature};
use super::stream::{base64, read, write};
use crate::args::{HashArgs, MacArgs, RandomArgs, SignDataArgs, VerifyDataArgs};
use crate::context::{Context, find_token};
use crate::objects::Objects;
use crate::output::{self, Failure};

/// Longest message that is signed in bytes.
const LONGEST: usize = 64 << 20;
const TOO_LONG: &str = "a message has at most 64 MiB: give its digest (--digest)";
/// What a server takes at a time.
const PART: usize = 1 << 16;

/// Runs `kmss sign`.
///
/// # Errors
/// A sentence for standard error.
pub(super) fn sign(context: &Context, args: &SignDataArgs) -> Result<(), Failure> {
    let data = read(&args.how.input, LONGEST, TOO_LONG)?;
    let objects = context.objects(&args.how.token)?;
    let key = named(&*objects, &args.how.key, KeyClass::Private)?;
    let how = Signature::of(key.key().ok_or("the object is no key")?, &args.how)?;
    let signature = objects.sign(&key, &how.mechanism, &how.input(&data))?;
    let signature = how.shown(signature)?;
    objects.close()?;
    if context.global.json {
        let mechanism = how.mechanism.name();
        return output::json(&json!({ "key": args.how.key, "mechanism": mechanism, "signature": base64(&signature) }));
    }
    write(&args.output, &signature, false)
}

/// Runs `kmss verify`; exit code 1 where the signature does not hold.
///
/// # Errors
/// A sentence for standard error.
pub(super) fn verify(context: &Context, args: &VerifyDataArgs) -> Result<ExitCode, Failure> {
    let path = args.signature.display();
    let signature = fs::read(&args.signature).map_err(|e| format!("cannot read `{path}`: {e}"))?;
    let signature = match args.base64 {
        false => signature,
        true => {
            let text: Vec<u8> = signature.into_iter().filter(|byte| !byte.is_ascii_whitespace()).collect();
            let text = String::from_utf8(text).map_err(|_| format!("`{path}` is no Base64"))?;
            Base64::decode_vec(&text).map_err(|_| format!("`{path}` is no Base64"))?
        }
    };
    let data = read(&args.how.input, LONGEST, TOO_LONG)?;
    let objects = context.objects(&args.how.token)?;
    let key = named(&*objects, &args.how.key, KeyClass::Public)?;
    let how = Signature::of(key.key().ok_or("the object is no key")?, &args.how)?;
    let holds = match how.taken(signature) {
        Some(signature) => objects.verify(&key, &how.mechanism, &how.input(&data), &signature)?,
        None => false,
    };
    objects.close()?;
    told(context, holds, "The signature holds.", "the signature does not hold")
}

/// Runs `kmss mac`; exit code 1 where a MAC that is checked does not hold.
///
/// # Errors
/// A sentence for standard error.
pub(super) fn mac(context: &Context, args: &MacArgs) -> Result<ExitCode, Failure> {
    let data = read(&args.input, LONGEST, "what comes in has at most 64 MiB")?;
    let objects = context.objects(&args.token)?;
    let key = named(&*objects, &args.key, KeyClass::Secret)?;
    let how = signature::mac(key.key().ok_or("the object is no key")?, args.algorithm.as_deref())?;
    let how = Mechanism::Mac(how);
    if let Some(expected) = &args.verify {
        let holds = objects.verify(&key, &how, &data, &parse_hex(expected)?)?;
        objects.close()?;
        return told(context, holds, "The MAC holds.", "the MAC does not hold");
    }
    let made = output::hex(&objects.sign(&key, &how, &data)?);
    objects.close()?;
    match context.global.json {
        true => output::json(&json!({ "key": args.key, "mechanism": how.name(), "mac": made }))?,
        false => output::line(&made)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs `kmss hash`.
///
/// # Errors
/// A sentence for standard error.
pub(super) fn hash(context: &Context, args: &HashArgs) -> Result<(), Failure> {
    let unknown = || format!("`{}` is no hash: say sha256, sha384, sha512, sha3-256, sm3 and so on", args.algorithm);
    let hash = signature::hash(&args.algorithm).ok_or_else(unknown)?;
    let named = args.input.file.as_deref().filter(|file| file.as_os_str() != "-");
    let mut source: Box<dyn Read> = match named {
        Some(file) => Box::new(File::open(file).map_err(|e| format!("cannot read `{}`: {e}", file.display()))?),
        None => Box::new(std::io::stdin().lock()),
    };
    let (kms, caller) = visitor(context, &args.token)?;
    let mut digesting = kms.begin(&caller, Digest::new(hash))?;
    let mut part = Zeroizing::new(vec![0; PART]);
    loop {
        let len = source.read(&mut part).map_err(|e| format!("cannot read what comes in: {e}"))?;
        let Some(part) = part.get(..len).filter(|part| !part.is_empty()) else { break };
        digesting.update(part, |running| running.update(part))?;
    }
    let mut digest = vec![0; hash.len()];
    digesting.finish(&[], |running| running.finish(&[], &mut digest))?;
    match context.global.json {
        true => output::json(&json!({ "hash": hash.name(), "digest": output::hex(&digest) })),
        false => output::line(&output::hex(&digest)),
    }
}

/// Runs `kmss random`.
///
/// # Errors
/// A sentence for standard error.
pub(super) fn random(context: &Context, args: &RandomArgs) -> Result<(), Failure> {
    let bytes = match context.server() {
        Some(server) => {
            let request = proto::GenerateRandomRequest { namespace: args.token.clone(), len: args.bytes };
            Zeroizing::new(server.ask(request)?.data)
        }
        None => {
            let (kms, caller) = visitor(context, &args.token)?;
            let mut bytes = Zeroizing::new(vec![0; args.bytes as usize]);
            kms.perform(&caller, DrawRandom { out: &mut bytes })?;
            bytes
        }
    };
    match (context.global.json, args.hex) {
        (true, _) => output::json(&json!({ "random": base64(&bytes) })),
        (false, true) => write(&args.output, format!("{}\n", output::hex(&bytes)).as_bytes(), true),
        (false, false) => write(&args.output, &bytes, false),
    }
}

/// A caller in a token who has not logged in: nothing of what is in it is used.
fn visitor(context: &Context, token: &str) -> Result<(Kms, Caller), Failure> {
    let kms = context.kms()?;
    let namespace = find_token(&kms, token)?;
    let caller = kms.enter(&namespace, 0)?;
    Ok((kms, caller))
}

/// The key of this name and class.
fn named(objects: &dyn Objects, name: &str, class: KeyClass) -> Result<Arc<Object>, Failure> {
    let what = match class {
        KeyClass::Private => "private",
        KeyClass::Public => "public",
        KeyClass::Secret => "secret",
    };
    let missing = || format!("there is no {what} key `{name}`; `kmss key list` shows what there is");
    Ok(objects.key(name, class)?.ok_or_else(missing)?)
}

/// Says whether something holds.
fn told(context: &Context, holds: bool, yes: &str, no: &'static str) -> Result<ExitCode, Failure> {
    match (context.global.json, holds) {
        (true, _) => output::json(&json!({ "holds": holds }))?,
        (false, true) => output::line(yes)?,
        (false, false) => return Err(no.into()),
    }
    Ok(if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
