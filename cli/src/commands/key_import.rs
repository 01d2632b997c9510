//! `kmss key import`: keys from files, with the certificates that come with them.

use std::sync::Arc;

use libkmss::key::{KeyClass, KeyComponents, Object, Protection, Usage};
use libkmss::mechanism::{Hash, KeyType};
use libkmss::operation::Draft;
use libkmss::secret::Secret;
use libkmss::tenant::BackendId;
use serde_json::{Value, json};
use x509_cert::Certificate;
use x509_cert::der::{Decode as _, Encode as _};

use super::{key, key_type};
use crate::args::{ImportArgs, WishesArgs};
use crate::context::Context;
use crate::material::{self, Incoming, Item};
use crate::objects::Objects;
use crate::output::{self, Failure};
use crate::pin::{self, Source};

/// Imports what the file holds.
///
/// # Errors
/// The file holds no key that is offered, or the token refuses it.
pub(super) fn run(context: &Context, args: &ImportArgs) -> Result<(), Failure> {
    let secret_type = args.key_type.as_deref().map(secret_type).transpose()?;
    let incoming = if args.raw {
        let value = Secret::copy_of(&material::read(&args.file)?);
        vec![Incoming { item: Item::Untyped(value), name: None, uses: None }]
    } else {
        material::parse(&material::read(&args.file)?, &|| passphrase(args))?
    };
    let (keys, certificates) = sort(incoming, secret_type)?;
    if keys.is_empty() {
        return Err("the file holds no key; a certificate alone is imported with `kmss cert import`".into());
    }
    if keys.len() > 1 && (args.label.is_some() || args.id.is_some()) {
        return Err("the file holds several keys: --label and --id would give all of them the same".into());
    }
    let allowed = uses(&args.usage)?;
    let identifier = args.id.as_deref().map(key::parse_hex).transpose()?;
    let several = keys.len() > 1;
    let objects = context.objects(&args.token.token)?;
    let mut made = Vec::new();
    for (number, found) in keys.into_iter().enumerate() {
        let name = match (&args.name, found.name) {
            (Some(name), _) if several => format!("{name}-{}", number + 1),
            (Some(name), _) => name.clone(),
            (None, Some(name)) => name,
            (None, None) => return Err("the file does not name the key; name it with --name".into()),
        };
        if !key::parts(&*objects, &name)?.is_empty() {
            let token = &args.token.token;
            return Err(format!("a key named `{name}` exists already in token `{token}`; name it with --name").into());
        }
        let wanted = Wanted {
            label: args.label.clone().unwrap_or_else(|| name.clone()).into_bytes(),
            name,
            identifier: identifier.clone(),
            sensitive: !args.not_sensitive,
            extractable: args.extractable,
            backend: key::chosen(context, args.backend.clone())?,
            uses: narrower(found.uses, allowed),
            is_seed: args.key_type.as_deref().is_some_and(|text| text.eq_ignore_ascii_case(key_type::SEED)),
        };
        made.push(import(&*objects, &found.components, &wanted)?);
    }
    let certificates = store_certificates(&*objects, &certificates, &made)?;
    objects.close()?;
    report(context, &args.token.token, &made, &certificates)
}

/// A key as it is to be imported.
struct Found {
    components: KeyComponents,
    name: Option<String>,
    uses: Option<Usage>,
}

/// What an imported key gets.
pub(super) struct Wanted {
    pub(super) name: String,
    pub(super) label: Vec<u8>,
    pub(super) identifier: Option<Vec<u8>>,
    pub(super) sensitive: bool,
    pub(super) extractable: bool,
    pub(super) backend: Option<BackendId>,
    pub(super) uses: Option<Usage>,
    pub(super) is_seed: bool,
}

impl Wanted {
    /// A sensitive key called `name`, with these wishes.
    ///
    /// # Errors
    /// A CKA_ID that is none, a use that is none.
    pub(super) fn named(name: &str, wishes: &WishesArgs, key_type: &str) -> Result<Self, Failure> {
        Ok(Self {
            name: name.to_owned(),
            label: name.as_bytes().to_vec(),
            identifier: wishes.id.as_deref().map(key::parse_hex).transpose()?,
            sensitive: true,
            extractable: wishes.extractable,
            backend: None,
            uses: uses(&wishes.usage)?,
            is_seed: key_type.eq_ignore_ascii_case(key_type::SEED),
        })
    }
}

/// Keys on one side, certificates on the other.
fn sort(incoming: Vec<Incoming>, secret_type: Option<KeyType>) -> Result<(Vec<Found>, Vec<Vec<u8>>), Failure> {
    let (mut keys, mut certificates) = (Vec::new(), Vec::new());
    for Incoming { item, name, uses } in incoming {
        let components = match item {
            Item::Certificate(der) => {
                certificates.push(der);
                continue;
            }
            Item::Key(KeyComponents::Secret { key_type, value }) => {
                KeyComponents::Secret { key_type: secret_type.unwrap_or(key_type), value }
            }
            Item::Key(components) if secret_type.is_some() => {
                return Err(format!(
                    "--type is for secret keys; the file says itself that its key is {}",
                    components.key_type().name()
                )
                .into());
            }
            Item::Key(components) => components,
            Item::Untyped(value) => {
                let key_type = secret_type.ok_or("the file does not say for what its secret key is; say --type")?;
                KeyComponents::Secret { key_type, value }
            }
        };
        keys.push(Found { components, name, uses });
    }
    Ok((keys, certificates))
}

/// Imports a key; of a private one, the public half as well.
///
/// # Errors
/// The token refuses it.
pub(super) fn import(
    objects: &dyn Objects,
    components: &KeyComponents,
    wanted: &Wanted,
) -> Result<Arc<Object>, Failure> {
    let class = match components {
        KeyComponents::Public(_) => KeyClass::Public,
        KeyComponents::Secret { .. } => KeyClass::Secret,
        _ => KeyClass::Private,
    };
    let draft = draft(objects, (components.key_type(), class), wanted, None)?;
    let made = objects.import(components.clone(), draft)?;
    with_public(objects, made, wanted)
}

/// Brings in the public half of a key that is here now, where it has one.
///
/// # Errors
/// The token refuses it; the key is gone again then, or the error says that it is not.
pub(super) fn with_public(objects: &dyn Objects, made: Arc<Object>, wanted: &Wanted) -> Result<Arc<Object>, Failure> {
    let key = made.key().ok_or("the new object is no key")?;
    if key.class != KeyClass::Private {
        return Ok(made);
    }
    let public = KeyComponents::Public(key.primary()?.public.clone());
    let kept = draft(objects, (public.key_type(), KeyClass::Public), wanted, Some(&made))
        .and_then(|draft| objects.import(public, draft));
    let Err(error) = kept else { return Ok(made) };
    // Half a pair helps nobody.
    match objects.destroy(&made) {
        Ok(()) => Err(error),
        Err(left) => Err(format!(
            "{error}; the private key `{}` came in without its public half, and could not be destroyed: {left}",
            key.name
        )
        .into()),
    }
}

/// Refuses a secret that is to be a seed and is not as long as one. A home has refused it before; what a server took goes again.
pub(super) fn require_seed(objects: &dyn Objects, made: &Arc<Object>, wanted: &Wanted) -> Result<(), Failure> {
    if !wanted.is_seed || Draft::has_length_of_seed(made) {
        return Ok(());
    }
    let why = "seeds have 16 to 64 bytes (BIP-32), and this secret has not";
    match objects.destroy(made) {
        Ok(()) => Err(why.into()),
        Err(left) => Err(format!("{why}; it came in as `{}`, and could not be destroyed: {left}", wanted.name).into()),
    }
}

/// The draft of a key as it is wanted.
///
/// # Errors
/// There is no identity for it.
pub(super) fn draft(
    objects: &dyn Objects,
    (key_type, class): (KeyType, KeyClass),
    wanted: &Wanted,
    partner: Option<&Arc<Object>>,
) -> Result<Draft, Failure> {
    let mut draft = objects.draft()?;
    draft.name.clone_from(&wanted.name);
    draft.exact = true;
    draft.label.clone_from(&wanted.label);
    draft.backend.clone_from(&wanted.backend);
    draft.identifier = match (&wanted.identifier, partner) {
        (Some(identifier), _) => identifier.clone(),
        (None, Some(partner)) => partner.identifier.clone(),
        (None, None) => draft.id.usual_identifier(),
    };
    let possible = Usage::all_for(key_type, class);
    draft.usage = wanted.uses.map_or(possible, |wanted| both(possible, wanted));
    if class != KeyClass::Public {
        draft.private = true;
        let Wanted { sensitive, extractable, .. } = *wanted;
        draft.protection = Protection { sensitive, extractable, ..Protection::default() };
    }
    if wanted.is_seed {
        draft.restrict_to_seed();
    }
    Ok(draft)
}

/// Stores certificates, each under the CKA_ID of the key it belongs to; those of authorities under their own names.
fn store_certificates(
    objects: &dyn Objects,
    certificates: &[Vec<u8>],
    keys: &[Arc<Object>],
) -> Result<Vec<String>, Failure> {
    let mut labels = Vec::new();
    for der in certificates {
        let certificate = Certificate::from_der(der).map_err(|e| format!("a certificate is damaged: {e}"))?;
        let tbs = certificate.tbs_certificate();
        let spki = tbs.subject_public_key_info().to_der()?;
        let own = keys.iter().find(|o| {
            o.key().and_then(|k| k.primary().ok()).and_then(|v| v.public.spki()).is_some_and(|public| public == spki)
        });
        let mut draft = objects.draft()?;
        match own {
            Some(key) => {
                draft.label.clone_from(&key.label);
                draft.identifier.clone_from(&key.identifier);
            }
            None => {
                draft.label = tbs.subject().to_string().into_bytes();
                draft.identifier = draft.id.usual_identifier();
            }
        }
        let stored = objects.import_certificate(der, draft)?;
        labels.push(String::from_utf8_lossy(&stored.label).into_owned());
    }
    Ok(labels)
}

fn report(context: &Context, token: &str, keys: &[Arc<Object>], certificates: &[String]) -> Result<(), Failure> {
    if context.global.json {
        let keys: Vec<Value> = keys.iter().map(|o| key::describe(o)).collect();
        return output::json(&json!({ "keys": keys, "certificates": certificates }));
    }
    for object in keys {
        let Some(key) = object.key() else { continue };
        output::line(&format!(
            "Imported {} key `{}` into token `{token}` (CKA_ID {}).",
            report::describe(key),
            output::plain(&key.name),
            output::hex(&object.identifier)
        ))?;
    }
    for label in certificates {
        output::line(&format!("Imported certificate `{}`.", output::plain(label)))?;
    }
    output::line("The file still holds the key: keep it as a backup under lock, or destroy it.")
}

fn passphrase(args: &ImportArgs) -> Result<Secret, Failure> {
    pin::existing(&Source {
        what: &format!("passphrase of `{}`", args.file.display()),
        env: args.passphrase_env.as_deref(),
        file: args.passphrase_file.as_deref(),
        default_env: "KMSS_PASSPHRASE",
    })
}

/// The type of a secret key as people write it.
///
/// # Errors
/// There is no such type.
pub(super) fn secret_type(text: &str) -> Result<KeyType, Failure> {
    Ok(match text.to_ascii_lowercase().as_str() {
        "aes" => KeyType::Aes,
        "sm4" => KeyType::Sm4,
        "chacha20" => KeyType::ChaCha20,
        "generic" | key_type::SEED => KeyType::GenericSecret,
        "hmac" | "hmac:sha256" => KeyType::Hmac(Hash::Sha256),
        "hmac:sha1" => KeyType::Hmac(Hash::Sha1),
        "hmac:sha384" => KeyType::Hmac(Hash::Sha384),
        "hmac:sha512" => KeyType::Hmac(Hash::Sha512),
        "hmac:sm3" => KeyType::Hmac(Hash::Sm3),
        _ => {
            let known = "aes, sm4, chacha20, generic, hd-seed or hmac, hmac:sha384, hmac:sha512, hmac:sm3";
            return Err(format!("`{text}` is no type of secret keys: say {known}").into());
        }
    })
}

/// The uses that were named; `None` where none were.
///
/// # Errors
/// There is no such use.
pub(super) fn uses(words: &[String]) -> Result<Option<Usage>, Failure> {
    let mut usage = Usage::default();
    for word in words {
        let place = match word.as_str() {
            "sign" => &mut usage.sign,
            "verify" => &mut usage.verify,
            "encrypt" => &mut usage.encrypt,
            "decrypt" => &mut usage.decrypt,
            "wrap" => &mut usage.wrap,
            "unwrap" => &mut usage.unwrap,
            "derive" => &mut usage.derive,
            "encapsulate" => &mut usage.encapsulate,
            "decapsulate" => &mut usage.decapsulate,
            other => return Err(format!("`{other}` is no use of a key").into()),
        };
        *place = true;
    }
    Ok((!words.is_empty()).then_some(usage))
}

fn narrower(a: Option<Usage>, b: Option<Usage>) -> Option<Usage> {
    match (a, b) {
        (Some(a), Some(b)) => Some(both(a, b)),
        (one, other) => one.or(other),
    }
}

const fn both(a: Usage, b: Usage) -> Usage {
    Usage {
        encrypt: a.encrypt && b.encrypt,
        decrypt: a.decrypt && b.decrypt,
        sign: a.sign && b.sign,
        sign_recover: a.sign_recover && b.sign_recover,
        verify: a.verify && b.verify,
        verify_recover: a.verify_recover && b.verify_recover,
        wrap: a.wrap && b.wrap,
        unwrap: a.unwrap && b.unwrap,
        derive: a.derive && b.derive,
        encapsulate: a.encapsulate && b.encapsulate,
        decapsulate: a.decapsulate && b.decapsulate,
    }
}
