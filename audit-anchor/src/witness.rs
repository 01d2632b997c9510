//! Witnesses (C2SP tlog-witness): they sign a checkpoint once they have seen that it continues the last one.

use audit_proof::checkpoint::number;
use audit_proof::{Algorithm, Checkpoint, Hash, Note, NoteSignature, TreeHash, VerifierKey};
use libkmss::audit::seal::Receipt;
use libkmss::kms::Kms;

use crate::error::AnchorError;
use crate::http::{Answer, Client, shown};

/// The request's body.
fn body(old: u64, path: &[Hash], checkpoint: &Note) -> String {
    let lines: String = path.iter().map(|hash| format!("{}\n", hash.to_base64())).collect();
    format!("old {old}\n{lines}\n{checkpoint}")
}

/// Has the newest checkpoint signed; `known` is the size of the one that the witness should have signed last.
pub(crate) fn cosign(
    kms: &Kms,
    client: &Client,
    (url, key): (&str, &VerifierKey),
    known: u64,
) -> Result<Receipt, AnchorError> {
    let shown = shown(url);
    if key.algorithm() != Algorithm::Cosignature {
        return Err(audit_proof::ProofError::Key("a witness has one of type 0x04").into());
    }
    let endpoint = format!("{}/add-checkpoint", url.trim_end_matches('/'));
    let ask = |old: u64| -> Result<(Note, Answer), AnchorError> {
        let (note, path) = kms.audit_submission(old)?;
        let answer = client.post(&endpoint, "text/plain; charset=utf-8", body(old, &path, &note).as_bytes())?;
        Ok((note, answer))
    };
    if kms.audit_keys()?.is_none_or(|keys| keys.tree_hash() != TreeHash::Sha256) {
        return Err(AnchorError::Suite);
    }
    let (mut note, mut answer) = ask(known)?;
    if answer.status == 409 {
        let theirs = std::str::from_utf8(&answer.body).ok().and_then(|text| number(text.trim_end_matches('\n')));
        let theirs = theirs.ok_or(AnchorError::Answer { url: shown.clone(), what: "does not say what it knows" })?;
        let ours = Checkpoint::parse(note.text())?.size;
        if theirs > ours {
            return Err(AnchorError::SetBack { url: shown, theirs, ours });
        }
        if theirs == known {
            return Err(AnchorError::Forked(shown));
        }
        (note, answer) = ask(theirs)?;
    }
    if answer.status == 422 || answer.status == 409 {
        return Err(AnchorError::Forked(shown));
    }
    let lines = answer.accepted(url)?;
    let lines = String::from_utf8(lines).map_err(|_| AnchorError::Answer { url: shown.clone(), what: "is no text" })?;
    // Lines of keys that nobody knows are passed over.
    let ours = |s: &NoteSignature| s.name == key.name() && s.id == key.id();
    lines.lines().filter_map(|line| NoteSignature::parse(line).ok()).filter(ours).for_each(|s| note.add(s));
    note.signed_by(&[key])?;
    Ok(Receipt { checkpoint: note.to_string(), token: None })
}
