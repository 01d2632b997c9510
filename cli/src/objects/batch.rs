//! Many things at once, as a server is asked for them.

use libkmss::key::Object;
use remote::convert;
use remote::proto::{self, batch_call::Call, batch_result::Result as Outcome};
use zeroize::Zeroizing;

use super::{Deed, Done, in_line};
use crate::output::Failure;

/// One call of a batch; `reference` names keys, all of which are in `place`.
pub(super) fn call(
    deed: &Deed,
    reference: impl Fn(&Object) -> Option<proto::KeyRef>,
    place: String,
) -> proto::BatchCall {
    let request_id = Vec::new();
    let call = match deed {
        Deed::Sign { key, mechanism, message } => Call::Sign(proto::SignRequest {
            key: reference(key),
            mechanism: Some(mechanism.into()),
            data: message.to_vec(),
            request_id,
            recoverable: false,
        }),
        Deed::Verify { key, mechanism, message, signature } => Call::Verify(proto::VerifyRequest {
            key: reference(key),
            mechanism: Some(mechanism.into()),
            data: message.to_vec(),
            signature: signature.clone(),
            request_id,
        }),
        Deed::Encrypt { key, native, plaintext } => Call::EncryptMessage(proto::EncryptMessageRequest {
            key: reference(key),
            algorithm: convert::native_algorithm_number(native.algorithm),
            context: convert::context_entries(&native.context),
            plaintext: plaintext.to_vec(),
            request_id,
        }),
        Deed::Decrypt { ciphertext, context } => Call::DecryptMessage(proto::DecryptMessageRequest {
            namespace: place,
            ciphertext: ciphertext.clone(),
            context: convert::context_entries(context),
            request_id,
        }),
    };
    proto::BatchCall { call: Some(call) }
}

/// What the server says of one.
pub(super) fn outcome(deed: &Deed, result: proto::BatchResult) -> Result<Done, Failure> {
    match (deed, result.result) {
        (Deed::Sign { .. }, Some(Outcome::Sign(answer))) => Ok(Done::Signature(answer.signature)),
        (Deed::Verify { .. }, Some(Outcome::Verify(_))) => Ok(Done::Holds(true)),
        (Deed::Encrypt { .. }, Some(Outcome::EncryptMessage(answer))) => Ok(Done::Ciphertext(answer.ciphertext)),
        (Deed::Decrypt { .. }, Some(Outcome::DecryptMessage(answer))) => {
            Ok(Done::Plaintext(Zeroizing::new(answer.plaintext)))
        }
        (Deed::Verify { .. }, Some(Outcome::Error(error))) if is_invalid(&error) => Ok(Done::Holds(false)),
        (_, Some(Outcome::Error(error))) => Err(format!("the server says: {}", error.message).into()),
        _ => Err("the server's answer is not what was asked for".into()),
    }
}

/// One value to be encrypted or decrypted among others.
pub(super) fn crypt_call(
    key: Option<proto::KeyRef>,
    mechanism: proto::Mechanism,
    encrypt: bool,
    value: &[u8],
) -> proto::BatchCall {
    let (mechanism, value, request_id) = (Some(mechanism), value.to_vec(), Vec::new());
    let call = match encrypt {
        true => Call::Encrypt(proto::EncryptRequest { key, mechanism, plaintext: value, request_id }),
        false => Call::Decrypt(proto::DecryptRequest { key, mechanism, ciphertext: value, request_id }),
    };
    proto::BatchCall { call: Some(call) }
}

/// Puts encrypted or decrypted values behind what the server answered before.
///
/// # Errors
/// The first that cannot be, with its line.
pub(super) fn take_crypted(
    results: Vec<proto::BatchResult>,
    asked: usize,
    encrypt: bool,
    made: &mut Vec<Zeroizing<Vec<u8>>>,
) -> Result<(), Failure> {
    if results.len() != asked {
        return Err("the server answered another number of values than it was asked".into());
    }
    for result in results {
        made.push(Zeroizing::new(match result.result {
            Some(Outcome::Encrypt(answer)) if encrypt => answer.ciphertext,
            Some(Outcome::Decrypt(answer)) if !encrypt => answer.plaintext,
            Some(Outcome::Error(error)) => {
                return Err(in_line(made.len(), format!("the server says: {}", error.message)));
            }
            _ => return Err("the server's answer is not what was asked for".into()),
        }));
    }
    Ok(())
}

/// Puts values or tokens of the vault behind what the server answered before.
///
/// # Errors
/// The first that cannot be, with its line.
pub(super) fn take_tokens(
    results: Vec<proto::TokenResult>,
    asked: usize,
    made: &mut Vec<Zeroizing<Vec<u8>>>,
) -> Result<(), Failure> {
    use proto::token_result::Result as Outcome;
    if results.len() != asked {
        return Err("the server answered another number of values than it was asked".into());
    }
    for result in results {
        match result.result {
            Some(Outcome::Text(text)) => made.push(Zeroizing::new(text)),
            Some(Outcome::Error(error)) => {
                return Err(in_line(made.len(), format!("the server says: {}", error.message)));
            }
            None => return Err("the server's answer is not what was asked for".into()),
        }
    }
    Ok(())
}

/// Whether the error says that a signature does not hold.
fn is_invalid(error: &proto::BatchError) -> bool {
    let kind = error.detail.as_ref().map(|detail| detail.kind);
    [proto::ErrorKind::SignatureInvalid, proto::ErrorKind::SignatureLength].iter().any(|one| kind == Some(*one as i32))
}
