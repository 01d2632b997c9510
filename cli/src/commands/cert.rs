//! `kmss cert`: requests and certificates, signed inside the token.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use libkmss::catalog::ObjectKind;
use libkmss::key::{Body, KeyClass, Object, Role};
use libkmss::kms::RotationStep;
use libkmss::mechanism::KeyType;
use rcgen::SerialNumber;
use serde_json::{Value, json};
use x509_cert::Certificate;
use x509_cert::der::pem::{LineEnding, encode_string};
use x509_cert::der::{Decode as _, DecodePem as _, Encode as _};

use super::key;
use super::key_life::IN_PART;
use super::sm2_signer::Sm2Signer;
use super::subject::Subject;
use super::token_key::TokenKey;
use crate::args::{CertCommand, CertExportArgs, CertFormat, NamedKey, SubjectArgs};
use crate::context::Context;
use crate::objects::Objects;
use crate::output::{self, Failure};

/// Runs `kmss cert`.
///
/// # Errors
/// A sentence for standard error.
pub(super) fn run(context: &Context, command: CertCommand) -> Result<ExitCode, Failure> {
    match command {
        CertCommand::Request { key, subject, out } => request(context, &key, &subject, out.as_deref()),
        CertCommand::SelfSign { key, subject, days, out } => {
            return self_sign(context, &key, &subject, days, out.as_deref());
        }
        CertCommand::Import { file, token, name } => return import(context, &file, &token.token, &name),
        CertCommand::Export(args) => export(context, &args),
        CertCommand::List { token } => list(context, &token.token),
    }?;
    Ok(ExitCode::SUCCESS)
}

fn request(context: &Context, named: &NamedKey, subject: &SubjectArgs, out: Option<&Path>) -> Result<(), Failure> {
    let subject = Subject::parse(subject)?;
    let objects = context.objects(&named.token.token)?;
    let key = private(&*objects, &named.name)?;
    let der = if is_sm2(&key) {
        Sm2Signer::new(&*objects, &key)?.request(&subject)?
    } else {
        let signer = TokenKey::new(&*objects, &key)?;
        subject.params()?.serialize_request(&signer).map_err(|e| signer.failure(e))?.der().to_vec()
    };
    objects.close()?;
    let pem = encode_string("CERTIFICATE REQUEST", LineEnding::LF, &der)?;
    let Some(path) = out else { return output::line(pem.trim_end()) };
    write(path, pem.as_bytes())?;
    report(
        context,
        &json!({ "request": path }),
        &format!("Wrote the request for key `{}` to `{}`.", named.name, path.display()),
    )
}

fn self_sign(
    context: &Context,
    named: &NamedKey,
    subject: &SubjectArgs,
    days: u32,
    out: Option<&Path>,
) -> Result<ExitCode, Failure> {
    let subject = Subject::parse(subject)?;
    let objects = context.objects(&named.token.token)?;
    let key = private(&*objects, &named.name)?;
    let now = objects.now()?.0 / 1000;
    let (from, until) = (now.saturating_sub(300), now.saturating_add(u64::from(days) * 86_400));
    let serial = serial_number(&*objects)?;
    let der = if is_sm2(&key) {
        Sm2Signer::new(&*objects, &key)?.self_signed(&subject, &serial, (from, until))?
    } else {
        let mut params = subject.params()?;
        params.not_before = time::OffsetDateTime::from_unix_timestamp(i64::try_from(from)?)?;
        params.not_after = time::OffsetDateTime::from_unix_timestamp(i64::try_from(until)?)?;
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        let signer = TokenKey::new(&*objects, &key)?;
        params.self_signed(&signer).map_err(|e| signer.failure(e))?.der().to_vec()
    };
    let (stored, kept) = store(&*objects, &der, &named.name, Some(&key))?;
    objects.close()?;
    if let Some(path) = out {
        write(path, encode_string("CERTIFICATE", LineEnding::LF, &der)?.as_bytes())?;
    }
    report(
        context,
        &json!({ "certificate": named.name, "cka_id": output::hex(&stored.identifier), "file": out, "waits": kept }),
        &format!("Signed a certificate for key `{}` with the key itself and stored it beside it.", named.name),
    )?;
    ended(context, kept)
}

/// Says why a version did not take its name.
fn ended(context: &Context, kept: Option<String>) -> Result<ExitCode, Failure> {
    let Some(why) = kept else { return Ok(ExitCode::SUCCESS) };
    if !context.global.json {
        output::line(&format!("The version does not have the name of its key yet: {}.", output::plain(&why)))?;
    }
    Ok(ExitCode::from(IN_PART))
}

fn private(objects: &dyn Objects, name: &str) -> Result<Arc<Object>, Failure> {
    objects.key(name, KeyClass::Private)?.ok_or_else(|| format!("no private key is named `{name}`").into())
}

fn is_sm2(key: &Object) -> bool {
    key.key().is_some_and(|key| key.key_type == KeyType::Sm2)
}

fn export(context: &Context, args: &CertExportArgs) -> Result<(), Failure> {
    let identifier = args.id.as_deref().map(key::parse_hex).transpose()?;
    let objects = context.objects(&args.token.token)?;
    let mut found = objects.all(ObjectKind::Certificate)?;
    // Certificates are labelled as their keys are; a key is also known by its name.
    let labelled = |label: &[u8]| found.iter().any(|certificate| certificate.label == label);
    let label = match key::parts(&*objects, &args.name)?.first().filter(|_| !labelled(args.name.as_bytes())) {
        Some(key) => key.label.clone(),
        None => args.name.clone().into_bytes(),
    };
    objects.close()?;
    found.retain(|o| o.label == label && identifier.as_ref().is_none_or(|identifier| *identifier == o.identifier));
    let Some(newest) = found.iter().max_by_key(|o| o.created.0) else {
        let token = &args.token.token;
        return Err(
            format!("no certificate is labelled `{}`; `kmss cert list --token {token}` shows them", args.name).into()
        );
    };
    let Body::Certificate { value } = &newest.body else { return Err("the object is no certificate".into()) };
    let bytes = match args.format {
        CertFormat::Der => value.clone(),
        CertFormat::Pem => encode_string("CERTIFICATE", LineEnding::LF, value)?.into_bytes(),
    };
    let Some(path) = &args.out else { return output::bytes(&bytes) };
    write(path, &bytes)?;
    report(
        context,
        &json!({ "certificate": args.name, "file": path, "others": found.len() - 1 }),
        &format!("Wrote certificate `{}` to `{}`.", args.name, path.display()),
    )
}

fn import(context: &Context, file: &Path, token: &str, name: &str) -> Result<ExitCode, Failure> {
    let bytes = std::fs::read(file).map_err(|e| format!("cannot read `{}`: {e}", file.display()))?;
    let certificate = Certificate::from_pem(&bytes)
        .or_else(|_| Certificate::from_der(&bytes))
        .map_err(|e| format!("`{}` is no X.509 certificate in PEM or DER: {e}", file.display()))?;
    let objects = context.objects(token)?;
    let parts = key::parts(&*objects, name)?;
    let (stored, kept) = store(&*objects, &certificate.to_der()?, name, parts.first())?;
    objects.close()?;
    let beside = if parts.is_empty() { "no key has that name" } else { "it shares the CKA_ID of its key" };
    report(
        context,
        &json!({ "certificate": name, "cka_id": output::hex(&stored.identifier), "key": !parts.is_empty(), "waits": kept }),
        &format!("Stored the certificate as `{}` ({beside}).", output::plain(&String::from_utf8_lossy(&stored.label))),
    )?;
    ended(context, kept)
}

fn list(context: &Context, token: &str) -> Result<(), Failure> {
    let objects = context.objects(token)?;
    let certificates = objects.all(ObjectKind::Certificate)?;
    objects.close()?;
    let described: Vec<Value> = certificates.iter().map(|o| describe(o)).collect();
    if context.global.json {
        return output::json(&described);
    }
    let text = |value: &Value, field: &str| output::plain(value.get(field).and_then(Value::as_str).unwrap_or("?"));
    let rows = described
        .iter()
        .map(|v| [text(v, "label"), text(v, "subject"), text(v, "issuer"), text(v, "not_after"), text(v, "cka_id")])
        .collect();
    output::table(["LABEL", "SUBJECT", "ISSUER", "EXPIRES", "CKA_ID"], rows, "No certificates yet.")
}

fn describe(object: &Object) -> Value {
    let mut value = json!({
        "label": String::from_utf8_lossy(&object.label),
        "cka_id": output::hex(&object.identifier),
        "id": object.id,
    });
    if let Body::Certificate { value: der } = &object.body
        && let Ok(certificate) = Certificate::from_der(der)
        && let Some(fields) = value.as_object_mut()
    {
        let tbs = certificate.tbs_certificate();
        fields.insert("subject".to_owned(), tbs.subject().to_string().into());
        fields.insert("issuer".to_owned(), tbs.issuer().to_string().into());
        fields.insert("not_after".to_owned(), tbs.validity().not_after.to_string().into());
        fields.insert("serial".to_owned(), tbs.serial_number().to_string().into());
    }
    value
}

/// Stores a certificate with label and CKA_ID of `key`; under `name` where there is none, or it has no label. Why a version that
/// was made ahead did not take its name now that it has a certificate, where it did not.
fn store(
    objects: &dyn Objects,
    der: &[u8],
    name: &str,
    key: Option<&Arc<Object>>,
) -> Result<(Arc<Object>, Option<String>), Failure> {
    let mut draft = objects.draft()?;
    draft.label = key.map(|key| key.label.clone()).filter(|label| !label.is_empty()).unwrap_or_else(|| name.into());
    if let Some(key) = key {
        draft.identifier.clone_from(&key.identifier);
    }
    let stored = objects.import_certificate(der, draft)?;
    let pending = key.and_then(|part| part.key()).filter(|key| key.lifecycle.role == Some(Role::Pending));
    let due = match pending {
        Some(key) => objects.rotate_due(Some(key.base_name()), false).whole()?,
        None => Vec::new(),
    };
    let kept = due.into_iter().find_map(|due| match due.step {
        RotationStep::Failed(why) | RotationStep::Held(why) => Some(why),
        _ => None,
    });
    Ok((stored, kept))
}

/// A positive random serial number of 16 bytes (RFC 5280, 4.1.2.2).
fn serial_number(objects: &dyn Objects) -> Result<[u8; 16], Failure> {
    let mut bytes = objects.draft()?.id.0;
    if let Some(first) = bytes.first_mut() {
        *first = (*first & 0x7f) | 0x40;
    }
    Ok(bytes)
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    std::fs::write(path, bytes).map_err(|e| format!("cannot write `{}`: {e}", path.display()).into())
}

fn report(context: &Context, value: &Value, sentence: &str) -> Result<(), Failure> {
    if context.global.json { output::json(value) } else { output::line(sentence) }
}
