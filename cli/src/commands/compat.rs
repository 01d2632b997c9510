//! `kmss compat`: business keys and user keys in the formats of other products.

use std::path::Path;
use std::sync::Arc;

use libkmss::caller::Caller;
use libkmss::compat::{Application, Business};
use libkmss::key::{KeyClass, Object};
use libkmss::kms::{BusinessForm, Kms, UserKey, UserKeyKind};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::compat_server::There;
use super::stream::read_from;
use crate::args::{CompatCommand, CompatEncryptArgs, UserKeyFor};
use crate::context::Context;
use crate::output::{self, Failure};

/// Most bytes of a plaintext.
const MOST: usize = 64 << 10;
/// Most bytes of a ciphertext, or of a user key.
const MOST_TEXT: usize = 256 << 10;

/// Runs `kmss compat`.
///
/// # Errors
/// A sentence for standard error.
pub(super) fn run(context: &Context, command: CompatCommand) -> Result<(), Failure> {
    match command {
        CompatCommand::UserKey { key, purpose, application } => {
            if let Some(there) = There::of(context, &key.token.token) {
                let (id, ciphertext) = there.make(&key.name, kind(purpose), application)?;
                return output::json(&json!({ "id": output::hex(&id), "ciphertext": ciphertext }));
            }
            let (kms, caller) = context.user(&key.token.token)?;
            let business = business_key(&kms, &caller, &key.name)?;
            let made = kms.make_user_key(&caller, &business, kind(purpose), Application::parse(&application)?);
            kms.close()?;
            let made = made?;
            output::json(&json!({ "id": output::hex(&made.id), "ciphertext": made.wrapped.to_text()? }))
        }
        CompatCommand::Encrypt(args) => encrypt(context, &args),
        CompatCommand::Decrypt { token, user_key, input } => {
            let text = read(input.as_deref(), MOST_TEXT)?;
            let user = user_key.as_deref().map(user_key_of).transpose()?;
            if let Some(there) = There::of(context, &token.token) {
                return output::bytes(&there.decrypt(text.trim_ascii(), user.as_ref())?);
            }
            let (kms, caller) = context.user(&token.token)?;
            let plaintext = kms.decrypt_compat(&caller, text.trim_ascii(), user.as_ref());
            kms.close()?;
            output::bytes(&plaintext?)
        }
        CompatCommand::Mac { token, user_key, purpose, input } => {
            let (data, user) = (read(input.as_deref(), usize::MAX)?, user_key_of(&user_key)?);
            if let Some(there) = There::of(context, &token.token) {
                return output::line(&output::hex(&there.mac(&user, kind(purpose), &data)?));
            }
            let (kms, caller) = context.user(&token.token)?;
            let mac = kms.mac_user(&caller, &user, kind(purpose), &data);
            kms.close()?;
            output::line(&output::hex(&mac?))
        }
    }
}

fn encrypt(context: &Context, args: &CompatEncryptArgs) -> Result<(), Failure> {
    let plaintext = read(args.input.as_deref(), MOST)?;
    let user = args.user_key.as_deref().map(user_key_of).transpose()?;
    if let Some(there) = There::of(context, &args.token.token) {
        let key = user.as_ref().ok_or(args.name.as_deref().unwrap_or_default());
        return output::line(&there.encrypt(key, args.application.clone(), args.iv_number, &plaintext)?);
    }
    let application = args.application.as_deref().map(Application::parse).transpose()?;
    let (kms, caller) = context.user(&args.token.token)?;
    let text = match (&args.name, &user) {
        (_, Some(user)) => kms.encrypt_user(&caller, user, application, &plaintext),
        (Some(name), None) => {
            let form = application.map_or(BusinessForm::Short(args.iv_number), BusinessForm::Long);
            kms.encrypt_business(&caller, &business_key(&kms, &caller, name)?, form, &plaintext)
        }
        (None, None) => return Err("name a business key, or a user key".into()),
    };
    kms.close()?;
    output::line(&text?)
}

fn business_key(kms: &Kms, caller: &Caller, name: &str) -> Result<Arc<Object>, Failure> {
    kms.key(caller, name, KeyClass::Secret)?.ok_or_else(|| format!("no secret key is named `{name}`").into())
}

const fn kind(purpose: UserKeyFor) -> UserKeyKind {
    match purpose {
        UserKeyFor::Sm4 => UserKeyKind::Sm4,
        UserKeyFor::HmacSm3 => UserKeyKind::HmacSm3,
        UserKeyFor::HmacSha256 => UserKeyKind::HmacSha256,
    }
}

/// A user key as `user-key` printed it.
fn user_key_of(path: &Path) -> Result<UserKey, Failure> {
    let unfit = || format!("`{}` holds no user key: it is the JSON that `kmss compat user-key` prints", path.display());
    let read = read(Some(path), MOST_TEXT)?;
    let value: Value = serde_json::from_slice(&read).map_err(|_| unfit())?;
    let text = |name: &str| value.get(name).and_then(Value::as_str).ok_or_else(unfit);
    let id = super::key::parse_hex(text("id")?)?.try_into().map_err(|_| unfit())?;
    let wrapped = Business::parse(text("ciphertext")?.as_bytes()).map_err(|_| unfit())?;
    Ok(UserKey { id, wrapped })
}

/// What a file or standard input holds.
fn read(path: Option<&Path>, most: usize) -> Result<Zeroizing<Vec<u8>>, Failure> {
    read_from(path, most, &format!("this is too much at once: {most} bytes at most"))
}
