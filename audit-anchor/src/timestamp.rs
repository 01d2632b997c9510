//! Time-stamping authorities (RFC 3161) over HTTP.
//!
//! The token is kept as it came, for `openssl ts -verify` and every other verifier; here it is only looked whether it is about
//! the right bytes and answers this request.

use der::asn1::{Any, BitString, Int, ObjectIdentifier, OctetString, SetOfVec};
use der::{Decode as _, Encode as _, Sequence};

use crate::error::AnchorError;
use crate::http::{Client, shown};

/// id-sha256 (RFC 5754, 2.2).
const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
/// id-signedData (RFC 5652, 5.1).
const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
/// id-ct-TSTInfo (RFC 3161, 2.4.2).
const TST_INFO: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.1.4");
/// Length of the number that ties an answer to its request.
const NONCE_LEN: usize = 8;

#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
struct AlgorithmIdentifier {
    algorithm: ObjectIdentifier,
    #[asn1(optional = "true")]
    parameters: Option<Any>,
}

#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
struct MessageImprint {
    algorithm: AlgorithmIdentifier,
    digest: OctetString,
}

/// RFC 3161, 2.4.1.
#[derive(Debug, Sequence)]
struct TimeStampReq {
    version: u8,
    imprint: MessageImprint,
    #[asn1(optional = "true")]
    nonce: Option<Int>,
    cert_req: bool,
}

/// RFC 3161, 2.4.2.
#[derive(Debug, Sequence)]
struct TimeStampResp {
    status: PkiStatusInfo,
    #[asn1(optional = "true")]
    token: Option<ContentInfo>,
}

#[derive(Debug, Sequence)]
struct PkiStatusInfo {
    status: u32,
    #[asn1(optional = "true")]
    text: Option<Any>,
    #[asn1(optional = "true")]
    failure: Option<BitString>,
}

#[derive(Debug, Sequence)]
struct ContentInfo {
    kind: ObjectIdentifier,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    content: Any,
}

/// RFC 5652, 5.1, as far as the content.
#[derive(Debug, Sequence)]
struct SignedData {
    version: u8,
    digests: SetOfVec<AlgorithmIdentifierAny>,
    content: EncapsulatedContent,
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT", optional = "true")]
    certificates: Option<SetOfVec<Any>>,
    #[asn1(context_specific = "1", tag_mode = "IMPLICIT", optional = "true")]
    revocations: Option<SetOfVec<Any>>,
    signers: SetOfVec<Any>,
}

type AlgorithmIdentifierAny = Any;

#[derive(Debug, Sequence)]
struct EncapsulatedContent {
    kind: ObjectIdentifier,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    content: Option<OctetString>,
}

/// The request for the time of `data`, whose SHA-256 hash is `digest`.
fn request(digest: &[u8], nonce: &[u8; NONCE_LEN]) -> Result<Vec<u8>, der::Error> {
    let [first, rest @ ..] = *nonce;
    // Positive and without a leading zero byte, so that it has one encoding.
    let nonce: Vec<u8> = std::iter::once((first & 0x7f) | 0x40).chain(rest).collect();
    let algorithm = AlgorithmIdentifier { algorithm: SHA256, parameters: Some(Any::null()) };
    let imprint = MessageImprint { algorithm, digest: OctetString::new(digest)? };
    TimeStampReq { version: 1, imprint, nonce: Some(Int::new(&nonce)?), cert_req: true }.to_der()
}

/// What is wrong with an answer to `request`; `None` where nothing is.
fn fault(request: &[u8], answer: &[u8]) -> Option<&'static str> {
    const DAMAGED: &str = "is no time-stamp response";
    let Ok(request) = TimeStampReq::from_der(request) else { return Some(DAMAGED) };
    let Ok(response) = TimeStampResp::from_der(answer) else { return Some(DAMAGED) };
    // Granted, and granted with modifications.
    if response.status.status > 1 {
        return Some("refuses the request");
    }
    let Some(token) = response.token.filter(|t| t.kind == SIGNED_DATA) else { return Some("brings no token") };
    let signed = token.content.to_der().and_then(|der| SignedData::from_der(&der));
    let Ok(signed) = signed else { return Some("brings a token that cannot be read") };
    let content = signed.content.content.filter(|_| signed.content.kind == TST_INFO);
    let Some(content) = content else { return Some("brings a token about something else") };
    // TSTInfo: version, policy, imprint, serial number, time, and optional fields of which one is the number.
    let Ok(fields) = Vec::<Any>::from_der(content.as_bytes()) else {
        return Some("brings a token that cannot be read");
    };
    let imprint = fields.get(2).and_then(|any| any.to_der().ok()).and_then(|der| MessageImprint::from_der(&der).ok());
    // Whether NULL stands behind the algorithm is the authority's choice.
    let same = |i: &MessageImprint| i.algorithm.algorithm == SHA256 && i.digest == request.imprint.digest;
    if !imprint.as_ref().is_some_and(same) {
        return Some("is about something else");
    }
    let nonce = request.nonce.and_then(|nonce| nonce.to_der().ok());
    let answers = fields.iter().skip(5).any(|any| any.to_der().ok() == nonce);
    (!answers).then_some("answers another request")
}

/// The answer of the authority for `data`.
pub(crate) fn stamp(client: &Client, url: &str, data: &[u8]) -> Result<Vec<u8>, AnchorError> {
    let digest = audit_proof::TreeHash::Sha256.of(&[data]);
    // The number need not be secret, only new: the digest of a checkpoint with its time is.
    let nonce = digest.0.first_chunk().copied().unwrap_or_default();
    let failed = |_| AnchorError::Answer { url: shown(url), what: "was never asked for: the request has no encoding" };
    let request = request(&digest.0, &nonce).map_err(failed)?;
    let answer = client.post(url, "application/timestamp-query", &request)?.accepted(url)?;
    match fault(&request, &answer) {
        None => Ok(answer),
        Some(what) => Err(AnchorError::Answer { url: shown(url), what }),
    }
}

#[cfg(test)]
mod tests;
