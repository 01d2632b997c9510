//! `kmss batch`: many uses of keys at once, one JSON object in a line, one result in a line.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;

use base64ct::{Base64, Encoding as _};
use libkmss::key::{KeyClass, Object};
use libkmss::mechanism::{EncryptionContext, KeyType, Mechanism, Native, NativeAlgorithm};
use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

use super::signature::{self, Signature};
use super::stream::{base64, read, write};
use crate::args::{BatchArgs, InputArgs, SignatureArgs};
use crate::context::Context;
use crate::objects::{Deed, Done, Objects};
use crate::output::Failure;

/// Most bytes of lines at once.
const MOST: usize = 64 << 20;

/// What a line asks for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    op: Op,
    key: Option<String>,
    algorithm: Option<String>,
    #[serde(default)]
    digest: bool,
    #[serde(default)]
    raw: bool,
    user_id: Option<String>,
    #[serde(default)]
    context: BTreeMap<String, String>,
    #[serde(deserialize_with = "wiped")]
    data: Zeroizing<String>,
    signature: Option<String>,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Op {
    Sign,
    Verify,
    Mac,
    Encrypt,
    Decrypt,
}

/// A text that is wiped when it goes.
fn wiped<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Zeroizing<String>, D::Error> {
    String::deserialize(from).map(Zeroizing::new)
}

impl Line {
    /// Refuses what says nothing in a line of this kind: somebody believes that it does.
    fn check(&self) -> Result<(), Failure> {
        let signs = matches!(self.op, Op::Sign | Op::Verify);
        let wrong = [
            ("key", self.key.is_some() && self.op == Op::Decrypt),
            ("algorithm", self.algorithm.is_some() && self.op == Op::Decrypt),
            ("digest", self.digest && !signs),
            ("raw", self.raw && !signs),
            ("user_id", self.user_id.is_some() && !signs),
            ("context", !self.context.is_empty() && !matches!(self.op, Op::Encrypt | Op::Decrypt)),
            ("signature", self.signature.is_some() && self.op != Op::Verify),
        ];
        match wrong.into_iter().find(|(_, is_wrong)| *is_wrong) {
            Some((name, _)) => Err(format!("`{name}` says nothing in such a line").into()),
            None => Ok(()),
        }
    }

    /// How something is signed, with the name of the key.
    fn asked(&self) -> Result<SignatureArgs, Failure> {
        Ok(SignatureArgs {
            key: self.named()?.to_owned(),
            token: String::new(),
            algorithm: self.algorithm.clone(),
            digest: self.digest,
            raw: self.raw,
            user_id: self.user_id.clone(),
            input: InputArgs { file: None },
        })
    }

    fn named(&self) -> Result<&str, Failure> {
        Ok(self.key.as_deref().ok_or("the line names no key")?)
    }

    fn data(&self) -> Result<Zeroizing<Vec<u8>>, Failure> {
        bytes(&self.data)
    }

    fn encryption_context(&self) -> Result<EncryptionContext, Failure> {
        Ok(EncryptionContext::new(self.context.clone().into_iter().collect())?)
    }
}

/// What is done about a line, and how its result is shown.
struct Planned {
    deed: Deed,
    signature: Option<Signature>,
}

/// Runs `kmss batch`; exit code 4 where some of it failed.
///
/// # Errors
/// A sentence for standard error.
pub(super) fn run(context: &Context, args: &BatchArgs) -> Result<ExitCode, Failure> {
    let input = read(&args.input, MOST, "what comes in has at most 64 MiB")?;
    let objects = context.objects(&args.token.token)?;
    let mut known = Known { objects: &*objects, keys: BTreeMap::new() };
    let lines = input.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
    let plans: Vec<Result<Planned, Failure>> = lines.map(|line| known.plan(line)).collect();
    let (mut deeds, mut shown) = (Vec::new(), Vec::new());
    for plan in plans {
        shown.push(plan.map(|Planned { deed, signature }| {
            deeds.push(deed);
            signature
        }));
    }
    let mut done = objects.batch(deeds)?.into_iter();
    objects.close()?;
    let (mut out, mut failed) = (Zeroizing::new(String::new()), false);
    for plan in shown {
        let result = plan.and_then(|signature| {
            let done = done.next().ok_or("there are fewer results than lines")??;
            said(done, signature.as_ref())
        });
        failed |= result.is_err();
        let line = result.unwrap_or_else(|error| Zeroizing::new(json!({ "error": error.to_string() }).to_string()));
        out.push_str(&line);
        out.push('\n');
    }
    write(&args.output, out.as_bytes(), true)?;
    Ok(if failed { ExitCode::from(4) } else { ExitCode::SUCCESS })
}

/// A result as JSON.
fn said(done: Done, signature: Option<&Signature>) -> Result<Zeroizing<String>, Failure> {
    let value = match done {
        Done::Signature(made) => match signature {
            Some(how) => json!({ "signature": base64(&how.shown(made)?) }),
            None => json!({ "mac": base64(&made) }),
        },
        Done::Holds(holds) => json!({ "holds": holds }),
        Done::Ciphertext(made) => json!({ "ciphertext": base64(&made) }),
        // Not through values, which nobody wipes.
        Done::Plaintext(made) => {
            let text = Zeroizing::new(base64(&made));
            return Ok(Zeroizing::new(format!("{{\"plaintext\":\"{}\"}}", *text)));
        }
    };
    Ok(Zeroizing::new(value.to_string()))
}

/// Keys that were looked up.
struct Known<'a> {
    objects: &'a dyn Objects,
    keys: BTreeMap<(String, u8), Option<Arc<Object>>>,
}

impl Known<'_> {
    fn key(&mut self, name: &str, class: KeyClass) -> Result<Arc<Object>, Failure> {
        let place = (name.to_owned(), class as u8);
        let found = match self.keys.get(&place) {
            Some(found) => found.clone(),
            None => {
                let found = self.objects.key(name, class)?;
                self.keys.insert(place, found.clone());
                found
            }
        };
        found.ok_or_else(|| format!("there is no such key `{name}`; `kmss key list` shows what there is").into())
    }

    /// What a line asks for. What is wrong with it is its own result.
    fn plan(&mut self, line: &[u8]) -> Result<Planned, Failure> {
        // The cause would quote the data.
        let line: Line = serde_json::from_slice(line)
            .map_err(|e| format!("the line is no request (column {}): say op, key and data", e.column()))?;
        line.check()?;
        Ok(match line.op {
            Op::Sign => {
                let object = self.key(line.named()?, KeyClass::Private)?;
                let how = how(&object, &line.asked()?)?;
                let message = Zeroizing::new(how.input(&line.data()?));
                let mechanism = how.mechanism.clone();
                Planned { deed: Deed::Sign { key: object, mechanism, message }, signature: Some(how) }
            }
            Op::Verify => {
                let object = self.key(line.named()?, KeyClass::Public)?;
                let how = how(&object, &line.asked()?)?;
                let message = Zeroizing::new(how.input(&line.data()?));
                let signature = bytes(line.signature.as_deref().ok_or("the line holds no signature")?)?;
                // What is no signature at all is one that does not hold.
                let signature = how.taken(signature.to_vec()).unwrap_or_default();
                let mechanism = how.mechanism.clone();
                Planned { deed: Deed::Verify { key: object, mechanism, message, signature }, signature: Some(how) }
            }
            Op::Mac => {
                let object = self.key(line.named()?, KeyClass::Secret)?;
                let mac = signature::mac(object.key().ok_or("the object is no key")?, line.algorithm.as_deref())?;
                let (mechanism, message) = (Mechanism::Mac(mac), line.data()?);
                Planned { deed: Deed::Sign { key: object, mechanism, message }, signature: None }
            }
            Op::Encrypt => {
                let object = self.key(line.named()?, KeyClass::Secret)?;
                let key_type = object.key().ok_or("the object is no key")?.key_type;
                let algorithm = native(key_type, line.algorithm.as_deref())?;
                let native = Native { algorithm, context: line.encryption_context()? };
                Planned { deed: Deed::Encrypt { key: object, native, plaintext: line.data()? }, signature: None }
            }
            Op::Decrypt => {
                let (ciphertext, context) = (line.data()?.to_vec(), line.encryption_context()?);
                Planned { deed: Deed::Decrypt { ciphertext, context }, signature: None }
            }
        })
    }
}

fn native(key_type: KeyType, algorithm: Option<&str>) -> Result<NativeAlgorithm, Failure> {
    let found = match algorithm {
        Some(label) => NativeAlgorithm::of_label(label, key_type),
        None => NativeAlgorithm::usual(key_type),
    };
    let unfit = || format!("messages are not encrypted so under {} keys", key_type.name());
    Ok(found.ok_or_else(unfit)?)
}

fn bytes(text: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
    Ok(Zeroizing::new(Base64::decode_vec(text).map_err(|_| "data and signatures are Base64")?))
}

fn how(key: &Object, args: &SignatureArgs) -> Result<Signature, Failure> {
    Signature::of(key.key().ok_or("the object is no key")?, args)
}
