//! `kmss import`, `export` and `unwrap`: keys that come in wrapped under a key of ours, and keys that go out.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;

use libkmss::clock::Timestamp;
use libkmss::envelope::{Sm2Envelope, WrappingKey};
use libkmss::key::{BackendId, Date, KeyClass, Object};
use libkmss::mechanism::{Hash, KeyType, Mechanism, Sm2Mechanism};
use libkmss::operation::Wrapping;
use serde_json::json;
use x509_cert::der::pem::{LineEnding, encode_string};

use super::key;
use super::key_import::{self, Wanted};
use crate::args::{
    ExportKeyArgs, HowWrapped, ImportBeginArgs, ImportCommand, ImportFinishArgs, OaepHash, UnwrapArgs, WrappingType,
};
use crate::context::Context;
use crate::material;
use crate::objects::Objects;
use crate::output::{self, Failure};

/// A day in milliseconds.
const DAY: u64 = 86_400_000;

/// Runs `kmss import`.
///
/// # Errors
/// A sentence for standard error.
pub(super) fn run(context: &Context, command: ImportCommand) -> Result<(), Failure> {
    match command {
        ImportCommand::Begin(args) => begin(context, &args),
        ImportCommand::Finish(args) => finish(context, &args),
    }
}

fn begin(context: &Context, args: &ImportBeginArgs) -> Result<(), Failure> {
    let objects = context.objects(&args.token.token)?;
    if !key::parts(&*objects, &args.name)?.is_empty() {
        return Err(format!("a key named `{}` exists already in token `{}`", args.name, args.token.token).into());
    }
    let kind = match args.kind {
        WrappingType::Rsa3072 => WrappingKey::Rsa(3072),
        WrappingType::Rsa4096 => WrappingKey::Rsa(4096),
        WrappingType::Sm2 => WrappingKey::Sm2,
    };
    let end = Date::of(Timestamp(objects.now()?.0.saturating_add(u64::from(args.days) * DAY)));
    let mut private = objects.draft()?;
    private.identifier = private.id.usual_identifier();
    private.backend = Some(BackendId::soft());
    let mut public = objects.draft()?;
    public.identifier.clone_from(&private.identifier);
    public.backend.clone_from(&private.backend);
    for draft in [&mut private, &mut public] {
        draft.name.clone_from(&args.name);
        draft.exact = true;
        draft.label = args.name.as_bytes().to_vec();
    }
    kind.restrict(&mut private, &mut public, end);
    let made = objects.generate_pair(kind.spec(), private, public)?;
    objects.close()?;
    let public = &made.key().ok_or("the new object is no key")?.primary()?.public;
    let spki = public.spki().ok_or("the public half of the new key is not known")?;
    let pem = encode_string("PUBLIC KEY", LineEnding::LF, &spki)?;
    std::fs::write(&args.out, pem).map_err(|e| format!("cannot write `{}`: {e}", args.out.display()))?;
    let last = String::from_utf8_lossy(&end.0).into_owned();
    if context.global.json {
        return output::json(&json!({ "wrapping_key": key::describe(&made), "file": args.out, "last_day": last }));
    }
    let name = output::plain(&args.name);
    output::line(&format!(
        "Made the wrapping key `{name}`, good until the end of {last} (UTC); its public half is in"
    ))?;
    output::line(&format!("`{}`. Wrap a key under it, and bring it in:", args.out.display()))?;
    // What is unwrapped is where the wrapping key is, which has to be said where the token's keys are made elsewhere.
    let elsewhere = WrappingKey::require_place(&made, &objects.namespace().backend).is_err();
    let place = if elsewhere && kind != WrappingKey::Sm2 { " --backend soft" } else { "" };
    output::line(&format!("  kmss import finish FILE --token {} --with {name} --name NAME{place}", args.token.token))
}

fn finish(context: &Context, args: &ImportFinishArgs) -> Result<(), Failure> {
    let token = &args.token.token;
    let objects = context.objects(token)?;
    let absent =
        || format!("no wrapping key named `{}` in token `{token}`: make one with `kmss import begin`", args.with);
    let with = objects.key(&args.with, KeyClass::Private)?.ok_or_else(absent)?;
    if !key::parts(&*objects, &args.name)?.is_empty() {
        return Err(format!("a key named `{}` exists already in token `{token}`", args.name).into());
    }
    // A key that does more than this is not used up.
    let wrapping = WrappingKey::of(&with);
    let usual = if wrapping == Some(WrappingKey::Sm2) { "sm2" } else { "aes" };
    let said = args.key_type.as_deref().unwrap_or(usual);
    let wanted = Wanted {
        label: args.label.clone().unwrap_or_else(|| args.name.clone()).into_bytes(),
        backend: args.backend.as_deref().map(|name| BackendId(name.to_owned().into())),
        ..Wanted::named(&args.name, &args.wishes, said)?
    };
    let wrapped = material::read(&args.file)?;
    let made = match wrapping {
        Some(WrappingKey::Rsa(_)) => {
            let (key_type, class) = self::key_type(said)?;
            let aes_len = usize::from(args.aes / 8);
            let how = Wrapping::RsaAes { hash: hash_of(args.oaep), aes_len }.chosen(KeyType::Rsa);
            WrappingKey::require_place(&with, wanted.backend.as_ref().unwrap_or(&objects.namespace().backend))?;
            let draft = key_import::draft(&*objects, (key_type, class), &wanted, None)?;
            let made = objects.unwrap(&with, &how, &wrapped, key_type, draft)?;
            key_import::require_seed(&*objects, &made, &wanted)?;
            key_import::with_public(&*objects, made, &wanted)?
        }
        Some(WrappingKey::Sm2) if said.eq_ignore_ascii_case("sm2") => enveloped(&*objects, &with, &wrapped, &wanted)?,
        Some(WrappingKey::Sm2) => return Err(format!("under SM2 keys come SM2 keys alone, not `{said}`").into()),
        None => return Err(format!("`{}` is no wrapping key: make one with `kmss import begin`", args.with).into()),
    };
    if !args.keep {
        spent(&*objects, &with)
            .map_err(|error| format!("the key came in, and its wrapping key could not be destroyed: {error}"))?;
    }
    objects.close()?;
    if context.global.json {
        return output::json(&json!({ "key": key::describe(&made), "wrapping_key_destroyed": !args.keep }));
    }
    let kind = made.key().map(report::describe).unwrap_or_default();
    output::line(&format!("Imported {kind} key `{}` into token `{token}`.", output::plain(&args.name)))?;
    if args.keep { Ok(()) } else { output::line("The wrapping key is destroyed.") }
}

/// Destroys the wrapping key that was used, whatever has its name by now.
fn spent(objects: &dyn Objects, with: &Arc<Object>) -> Result<(), Failure> {
    objects.destroy(with)?;
    let Some(key) = with.key() else { return Ok(()) };
    let public = objects.key(&key.name, KeyClass::Public)?;
    let public = public.filter(|half| half.key().is_some_and(|half| WrappingKey::is_pair(key, half)));
    public.map_or(Ok(()), |half| objects.destroy(&half))
}

/// An SM2 key in an envelope. The envelope is opened here, as files of other formats are.
fn enveloped(
    objects: &dyn Objects,
    with: &Arc<Object>,
    wrapped: &[u8],
    wanted: &Wanted,
) -> Result<Arc<Object>, Failure> {
    let envelope = Sm2Envelope::parse(wrapped)?;
    let mechanism = Mechanism::Sm2(Sm2Mechanism::Encrypt);
    let opened = objects.crypt_each(with, &mechanism, false, &[&envelope.wrapped])?;
    let components = envelope.open(opened.first().ok_or("the envelope's key was not decrypted")?)?;
    key_import::import(objects, &components, wanted)
}

/// Runs `kmss export`.
///
/// # Errors
/// The key may not leave, or is in a device.
pub(super) fn export(context: &Context, args: &ExportKeyArgs) -> Result<(), Failure> {
    let token = &args.key.token.token;
    let objects = context.objects(token)?;
    let found = key::require(&*objects, &args.key)?;
    let object = found.iter().find(|object| object.key().is_some_and(|key| key.class != KeyClass::Public));
    let object = object.ok_or("only its public half is there: `kmss key export-public` writes that")?;
    let held = object.key().ok_or("the object is no key")?.primary()?;
    if context.server().is_none() && held.backend != BackendId::soft() {
        let why = "the key is in an HSM or on a server, and does not leave it this way: `kmss key move` and the device's own \
                   backup are for that";
        return Err(why.into());
    }
    let bytes = match &args.under {
        Some(under) => zeroize::Zeroizing::new(wrapped(&*objects, object, under, args)?),
        None => material::to_private_jwk(&objects.export(object)?, &held.public, &args.key.name)?,
    };
    objects.close()?;
    write(&args.out, &bytes)?;
    let (name, file) = (output::plain(&args.key.name), args.out.display());
    if context.global.json {
        return output::json(&json!({ "name": args.key.name, "file": args.out, "clear": args.clear }));
    }
    match &args.under {
        Some(under) => output::line(&format!("Wrote `{name}`, wrapped under `{}`, to `{file}`.", output::plain(under))),
        None => {
            output::line(&format!("Wrote `{name}` IN CLEAR to `{file}` (JSON Web Key): whoever reads it has the key."))
        }
    }
}

/// The key, wrapped under another of the token.
fn wrapped(objects: &dyn Objects, key: &Arc<Object>, under: &str, args: &ExportKeyArgs) -> Result<Vec<u8>, Failure> {
    let with = match objects.key(under, KeyClass::Secret)? {
        Some(secret) => secret,
        None => objects
            .key(under, KeyClass::Public)?
            .ok_or_else(|| format!("no key named `{under}` in the token that wraps: a secret key, or a public one"))?,
    };
    let key_type = with.key().ok_or("it is no key")?.key_type;
    objects.wrap(&with, &wrapping(args.how, args.oaep, key_type)?.chosen(key_type), key)
}

/// How keys are wrapped under one of this type: as was said, or as is usual.
fn wrapping(how: Option<HowWrapped>, oaep: OaepHash, under: KeyType) -> Result<Wrapping, Failure> {
    let wrapping = match how {
        None if under != KeyType::Rsa => Wrapping::usual(under),
        Some(HowWrapped::Kw) => Wrapping::Kw,
        Some(HowWrapped::Kwp) => Wrapping::Kwp,
        Some(HowWrapped::RsaOaep) => Wrapping::RsaOaep(hash_of(oaep)),
        None | Some(HowWrapped::RsaAes) => Wrapping::RsaAes { hash: hash_of(oaep), aes_len: 32 },
    };
    let fits = match wrapping {
        Wrapping::Kw | Wrapping::Kwp => matches!(under, KeyType::Aes | KeyType::Sm4),
        Wrapping::RsaOaep(_) | Wrapping::RsaAes { .. } => under == KeyType::Rsa,
    };
    match fits {
        true => Ok(wrapping),
        false => Err(format!(
            "{} keys do not wrap so: AES and SM4 keys by kw and kwp, RSA keys by rsa-oaep and rsa-aes",
            under.name()
        )
        .into()),
    }
}

/// Runs `kmss unwrap`.
///
/// # Errors
/// A sentence for standard error; the same for every way in which the wrapped key can be wrong.
pub(super) fn unwrap(context: &Context, args: &UnwrapArgs) -> Result<(), Failure> {
    let token = &args.token.token;
    let objects = context.objects(token)?;
    let with = match objects.key(&args.under, KeyClass::Secret)? {
        Some(secret) => secret,
        None => objects
            .key(&args.under, KeyClass::Private)?
            .ok_or_else(|| format!("no key named `{}` in token `{token}` that unwraps", args.under))?,
    };
    let under = with.key().ok_or("it is no key")?.key_type;
    let how = wrapping(args.how, args.oaep, under)?.chosen(under);
    key::require_new(&*objects, &args.name, token)?;
    let wanted = Wanted::named(&args.name, &args.wishes, &args.key_type)?;
    let (key_type, class) = self::key_type(&args.key_type)?;
    let draft = key_import::draft(&*objects, (key_type, class), &wanted, None)?;
    let made = objects.unwrap(&with, &how, &material::read(&args.file)?, key_type, draft)?;
    key_import::require_seed(&*objects, &made, &wanted)?;
    let made = key_import::with_public(&*objects, made, &wanted)?;
    objects.close()?;
    if context.global.json {
        return output::json(&key::describe(&made));
    }
    let kind = made.key().map(report::describe).unwrap_or_default();
    output::line(&format!("Unwrapped {kind} key `{}` into token `{token}`.", output::plain(&args.name)))
}

const fn hash_of(hash: OaepHash) -> Hash {
    match hash {
        OaepHash::Sha1 => Hash::Sha1,
        OaepHash::Sha256 => Hash::Sha256,
        OaepHash::Sha384 => Hash::Sha384,
        OaepHash::Sha512 => Hash::Sha512,
    }
}

/// The type of a key as people write it, and what part of a key it is.
fn key_type(text: &str) -> Result<(KeyType, KeyClass), Failure> {
    let private = match text.to_ascii_lowercase().as_str() {
        "rsa" => KeyType::Rsa,
        "ec" => KeyType::Ec,
        "ed25519" | "ed448" => KeyType::EcEdwards,
        "x25519" | "x448" => KeyType::EcMontgomery,
        "sm2" => KeyType::Sm2,
        "dh" => KeyType::Dh,
        "ml-dsa" => KeyType::MlDsa,
        "ml-kem" => KeyType::MlKem,
        "slh-dsa" => KeyType::SlhDsa,
        secret => return Ok((key_import::secret_type(secret)?, KeyClass::Secret)),
    };
    Ok((private, KeyClass::Private))
}

/// Refuses the place of a file that is there.
pub(super) fn require_absent(path: &Path) -> Result<(), Failure> {
    match path.symlink_metadata() {
        Ok(_) => Err(format!("`{}` is there already: name another file", path.display()).into()),
        Err(_) => Ok(()),
    }
}

/// Writes a file that was not there, for its owner alone; where that fails it is not there again.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let cannot = |e| format!("`{}` cannot be made: {e}", path.display());
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(cannot)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(|e| {
        // What is half there helps nobody, and is in the way of the next try.
        let _ = std::fs::remove_file(path);
        cannot(e).into()
    })
}
