//! `kmss cert`: requests and certificates, signed inside the token.

use std::path::Path;
use std::sync::Arc;

use libkmss::caller::Caller;
use libkmss::catalog::ObjectKind;
use libkmss::key::{Body, Object, Storage};
use libkmss::kms::Kms;
use libkmss::operation::ImportDocument;
use rcgen::{CertificateParams, DistinguishedName, DnType, SerialNumber};
use serde_json::{Value, json};
use x509_cert::Certificate;
use x509_cert::der::{Decode as _, DecodePem as _, Encode as _};

use super::{key, token_key::TokenKey};
use crate::args::{CertCommand, NamedKey, SubjectArgs};
use crate::context::Context;
use crate::output::{self, Failure};

/// Runs `kmss cert`.
///
/// # Errors
/// A sentence for standard error.
pub(super) fn run(context: &Context, command: CertCommand) -> Result<(), Failure> {
    match command {
        CertCommand::Request { key, subject, out } => request(context, &key, &subject, out.as_deref()),
        CertCommand::SelfSign { key, subject, days, out } => self_sign(context, &key, &subject, days, out.as_deref()),
        CertCommand::Import { file, token, name } => import(context, &file, &token.token, &name),
        CertCommand::List { token } => list(context, &token.token),
    }
}

fn request(context: &Context, named: &NamedKey, subject: &SubjectArgs, out: Option<&Path>) -> Result<(), Failure> {
    let (kms, caller) = context.user(&named.token.token)?;
    let signer = TokenKey::new(&kms, &caller, &named.name)?;
    let pem = params(subject)?.serialize_request(&signer)?.pem()?;
    kms.close()?;
    let Some(path) = out else { return output::line(pem.trim_end()) };
    write(path, &pem)?;
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
) -> Result<(), Failure> {
    let (kms, caller) = context.user(&named.token.token)?;
    let signer = TokenKey::new(&kms, &caller, &named.name)?;
    let mut params = params(subject)?;
    let now = i64::try_from(kms.now().0 / 1000)?;
    params.not_before = time::OffsetDateTime::from_unix_timestamp(now.saturating_sub(300))?;
    params.not_after = time::OffsetDateTime::from_unix_timestamp(now.saturating_add(i64::from(days) * 86_400))?;
    params.serial_number = Some(serial_number(&kms)?);
    let certificate = params.self_signed(&signer)?;
    let stored = store(&kms, &caller, certificate.der(), &named.name, Some(signer.object()))?;
    kms.close()?;
    if let Some(path) = out {
        write(path, &certificate.pem())?;
    }
    report(
        context,
        &json!({ "certificate": named.name, "cka_id": output::hex(&stored.identifier), "file": out }),
        &format!("Signed a certificate for key `{}` with the key itself and stored it beside it.", named.name),
    )
}

fn import(context: &Context, file: &Path, token: &str, name: &str) -> Result<(), Failure> {
    let bytes = std::fs::read(file).map_err(|e| format!("cannot read `{}`: {e}", file.display()))?;
    let certificate = Certificate::from_pem(&bytes)
        .or_else(|_| Certificate::from_der(&bytes))
        .map_err(|e| format!("`{}` is no X.509 certificate in PEM or DER: {e}", file.display()))?;
    let (kms, caller) = context.user(token)?;
    let parts = key::parts(&kms, &caller, name)?;
    let stored = store(&kms, &caller, &certificate.to_der()?, name, parts.first())?;
    kms.close()?;
    let beside = if parts.is_empty() { "no key has that name" } else { "it shares the CKA_ID of its key" };
    report(
        context,
        &json!({ "certificate": name, "cka_id": output::hex(&stored.identifier), "key": !parts.is_empty() }),
        &format!("Stored the certificate as `{name}` ({beside})."),
    )
}

fn list(context: &Context, token: &str) -> Result<(), Failure> {
    let (kms, caller) = context.user(token)?;
    let mut objects = Vec::new();
    key::all(&kms, &caller, ObjectKind::Certificate, &mut objects)?;
    kms.close()?;
    let described: Vec<Value> = objects.iter().map(|o| describe(o)).collect();
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

/// Stores a certificate under `label` with the CKA_ID of `key`.
fn store(
    kms: &Kms,
    caller: &Caller,
    der: &[u8],
    label: &str,
    key: Option<&Arc<Object>>,
) -> Result<Arc<Object>, Failure> {
    let mut draft = kms.draft(Storage::Stored)?;
    draft.label = label.as_bytes().to_vec();
    if let Some(key) = key {
        draft.identifier.clone_from(&key.identifier);
    }
    Ok(kms.perform(caller, ImportDocument { body: Body::Certificate { value: der.to_vec() }, draft })?)
}

fn params(subject: &SubjectArgs) -> Result<CertificateParams, Failure> {
    let mut params = CertificateParams::new(subject.names.clone())
        .map_err(|e| format!("a --dns name cannot stand in a certificate: {e}"))?;
    params.distinguished_name = distinguished_name(&subject.subject)?;
    Ok(params)
}

/// Parses `CN=localhost,O=Example`; a comma in a value is written `\,`.
fn distinguished_name(text: &str) -> Result<DistinguishedName, Failure> {
    let mut name = DistinguishedName::new();
    let mut parts = vec![String::new()];
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => parts.last_mut().into_iter().for_each(|p| p.extend(chars.next())),
            ',' => parts.push(String::new()),
            c => parts.last_mut().into_iter().for_each(|p| p.push(c)),
        }
    }
    for part in &parts {
        let (field, value) =
            part.split_once('=').ok_or_else(|| format!("`{part}` in the subject is not FIELD=value"))?;
        let field = match field.trim().to_ascii_uppercase().as_str() {
            "CN" => DnType::CommonName,
            "O" => DnType::OrganizationName,
            "OU" => DnType::OrganizationalUnitName,
            "C" => DnType::CountryName,
            "ST" => DnType::StateOrProvinceName,
            "L" => DnType::LocalityName,
            _ => return Err(format!("`{field}` is no subject field: say CN, O, OU, C, ST or L").into()),
        };
        name.push(field, value.trim());
    }
    Ok(name)
}

/// A positive random serial number of 16 bytes (RFC 5280, 4.1.2.2).
fn serial_number(kms: &Kms) -> Result<SerialNumber, Failure> {
    let mut bytes = kms.draft(Storage::Ephemeral)?.id.0;
    if let Some(first) = bytes.first_mut() {
        *first = (*first & 0x7f) | 0x40;
    }
    Ok(SerialNumber::from_slice(&bytes))
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(path, text).map_err(|e| format!("cannot write `{}`: {e}", path.display()).into())
}

fn report(context: &Context, value: &Value, sentence: &str) -> Result<(), Failure> {
    if context.global.json { output::json(value) } else { output::line(sentence) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn subjects_are_fields_with_escaped_commas() {
        let name = distinguished_name("CN=localhost, O=Acme\\, Inc").unwrap();
        let values: Vec<_> = name.iter().map(|(t, v)| (t.clone(), format!("{v:?}"))).collect();
        assert_eq!(values.len(), 2);
        assert!(values[1].1.contains("Acme, Inc"), "{values:?}");
        assert!(distinguished_name("localhost").is_err());
        assert!(distinguished_name("XX=1").is_err());
    }
}
