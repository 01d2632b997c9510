//! `kmss policy sign`: bundles for other homes.

use std::path::Path;

use libkmss::clock::{Clock as _, SystemClock};
use libkmss::key::{KeyClass, KeyComponents};
use libkmss::mechanism::{EcMechanism, Mechanism, Sm2Mechanism};
use libkmss::policy::bundle::{
    Bundle, Content, Draft, PublisherAlgorithm, PublisherKey, PublisherSecret, Terms, declared_pages,
};
use serde_json::json;

use super::{content, list};
use crate::args::SignArgs;
use crate::context::Context;
use crate::material::{self, Item};
use crate::moment;
use crate::output::{self, Failure};
use crate::pin::{self, Source};

/// Runs `kmss policy sign`.
///
/// # Errors
/// The policy is not what it should be, or there is no key to sign with.
pub(super) fn run(context: &Context, args: &SignArgs) -> Result<(), Failure> {
    let bytes = content::read(&args.file)?;
    if Bundle::is_one(&bytes) {
        return Err("the file is a bundle already; sign what it was made from".into());
    }
    let policy = content::policy(&args.file, bytes, &args.content)?;
    let now = SystemClock::default().now();
    let terms = Terms {
        name: policy.name,
        scope: args.scope.required()?,
        sequence: args.sequence.unwrap_or(now.0 / 1000),
        abi: policy.abi,
        fuel: args.fuel,
        pages: args.pages.or_else(|| declared_pages(&policy.content.module)),
        entrypoint: policy.entrypoint,
        not_before: args.valid_from.as_deref().map(moment::parse).transpose()?.unwrap_or(now),
        not_after: args.valid_until.as_deref().map(moment::parse).transpose()?,
    };
    let source = policy.content.source.filter(|_| !args.without_source);
    let content = Content { source, ..policy.content };
    let bundle = match (&args.key_file, &args.with_key, &args.with_token) {
        (Some(file), ..) => with_file(args, file, terms, content)?,
        (None, Some(key), Some(token)) => with_token(context, token, key, terms, content)?,
        _ => return Err("name the key to sign with: --key-file, or --with-key and --with-token".into()),
    };
    std::fs::write(&args.out, &bundle).map_err(|e| format!("cannot write `{}`: {e}", args.out.display()))?;
    let read = Bundle::parse(&bundle).map_err(libkmss::error::Error::from)?;
    if context.global.json {
        let mut value = list::manifest(read.manifest());
        list::merge(&mut value, json!({ "file": args.out, "digest": output::hex(&read.digest()) }));
        return output::json(&value);
    }
    let terms = &read.manifest().terms;
    output::line(&format!(
        "Signed policy `{}`, sequence {}, for {}: `{}`, {} bytes.",
        terms.name,
        terms.sequence,
        output::plain(&terms.scope.to_string()),
        args.out.display(),
        bundle.len()
    ))?;
    output::line(&format!("Publisher {}.", read.manifest().publisher))
}

fn with_file(args: &SignArgs, file: &Path, terms: Terms, content: Content) -> Result<Vec<u8>, Failure> {
    let passphrase = || {
        pin::existing(&Source {
            what: "passphrase of the key file",
            env: args.passphrase_env.as_deref(),
            file: args.passphrase_file.as_deref(),
            default_env: "KMSS_PASSPHRASE",
        })
    };
    let found = material::parse(&material::read(file)?, &passphrase)?.into_iter();
    let private = |item| match item {
        Item::Key(key @ KeyComponents::EcPrivate { .. }) => Some(key),
        _ => None,
    };
    let keys: Vec<KeyComponents> = found.filter_map(|incoming| private(incoming.item)).collect();
    let [key] = keys.as_slice() else {
        return Err(format!("`{}` does not hold one private key of Ed25519 or SM2", file.display()).into());
    };
    let secret = PublisherSecret::from_components(key)?;
    Ok(Draft::new(terms, content, &secret.public()?)?.sign(&secret)?)
}

fn with_token(context: &Context, token: &str, key: &str, terms: Terms, content: Content) -> Result<Vec<u8>, Failure> {
    let objects = context.objects(token)?;
    let object = objects.key(key, KeyClass::Private)?;
    let object = object.ok_or_else(|| format!("token `{token}` has no private key `{}`", output::plain(key)))?;
    let public = object.key().ok_or("the object is no key")?.primary()?.public.clone();
    let publisher = PublisherKey::from_public(&public)?;
    let mechanism = match publisher.algorithm() {
        PublisherAlgorithm::Ed25519 => Mechanism::Ec(EcMechanism::PURE_EDDSA),
        PublisherAlgorithm::Sm2 => Mechanism::Sm2(Sm2Mechanism::SignSm3 { id: Sm2Mechanism::DEFAULT_ID.to_vec() }),
    };
    let draft = Draft::new(terms, content, &publisher)?;
    let signature = objects.sign(&object, &mechanism, &draft.to_be_signed())?;
    objects.close()?;
    Ok(draft.with_signature(&signature)?)
}
