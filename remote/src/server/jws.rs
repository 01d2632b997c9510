//! JSON Web Tokens, and the sets of keys that verify them.

use std::sync::Arc;

use libkmss::error::{Error, ErrorKind, Result};
use libkmss::jose::{Content, Expected, Jws, Life, Wanted};
use libkmss::key::Object;
use libkmss::operation::ObjectRef;

use super::call::{Asked, Call, argument};
use crate::convert;
use crate::proto::{self, KeyRef, sign_jws_request};

/// Most keys of a set.
const MOST_KEYS: usize = 64;

/// The record of a key.
fn known(asked: &Asked<'_>, key: Option<&KeyRef>) -> Result<Arc<Object>> {
    match asked.object(key)? {
        ObjectRef::Stored(id) => asked.host.kms.object(&asked.caller, id),
        ObjectRef::Ephemeral(_) => Err(Error::new(ErrorKind::Internal, "a server has no session keys")),
    }
}

fn how(algorithm: i32, typ: String) -> Result<Jws> {
    Ok(Jws { algorithm: convert::jws_algorithm(algorithm)?, typ: (!typ.is_empty()).then_some(typ) })
}

impl Call for proto::SignJwsRequest {
    type Answer = proto::SignJwsResponse;
    const METHOD: &'static str = "SignJws";

    fn key(&self) -> Option<&KeyRef> {
        self.key.as_ref()
    }

    fn request_id(&self) -> &[u8] {
        &self.request_id
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::SignJwsResponse> {
        use sign_jws_request::Content as Given;
        let (key, how) = (known(asked, self.key.as_ref())?, how(self.algorithm, self.r#type)?);
        let life = match (self.life_seconds, self.endless) {
            (Some(_), true) => return Err(argument("claims hold for some time, or for ever")),
            (Some(seconds), false) => Life::Seconds(seconds),
            (None, true) => Life::Endless,
            (None, false) => Life::Stated,
        };
        let content = match &self.content {
            Some(Given::Claims(claims)) => Content::Claims(claims, life),
            Some(Given::Payload(payload)) => Content::Bytes(payload),
            None => return Err(argument("it is not said what is signed")),
        };
        let signed = asked.host.kms.sign_jws(&asked.caller, &key, &how, content)?;
        let algorithm = convert::jws_algorithm_number(signed.algorithm);
        Ok(proto::SignJwsResponse { token: signed.token, kid: signed.kid, algorithm })
    }
}

impl Call for proto::VerifyJwsRequest {
    type Answer = proto::VerifyJwsResponse;
    const METHOD: &'static str = "VerifyJws";

    fn key(&self) -> Option<&KeyRef> {
        self.key.as_ref()
    }

    fn request_id(&self) -> &[u8] {
        &self.request_id
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::VerifyJwsResponse> {
        let (key, how) = (known(asked, self.key.as_ref())?, how(self.algorithm, self.r#type)?);
        let wanted = match self.any_payload {
            true => Wanted::Bytes,
            false => Wanted::Claims(Expected {
                issuer: self.issuer,
                audience: self.audience,
                leeway: self.leeway_seconds,
                endless: self.endless,
            }),
        };
        let verified = asked.host.kms.verify_jws(&asked.caller, &key, &how, &wanted, &self.token)?;
        let algorithm = convert::jws_algorithm_number(verified.algorithm);
        Ok(proto::VerifyJwsResponse { payload: verified.payload, kid: verified.kid, algorithm })
    }
}

impl Call for proto::GetJwksRequest {
    type Answer = proto::GetJwksResponse;
    const METHOD: &'static str = "GetJwks";

    fn key(&self) -> Option<&KeyRef> {
        self.keys.first()
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::GetJwksResponse> {
        if self.keys.is_empty() || self.keys.len() > MOST_KEYS {
            return Err(argument("a set is of 1 to 64 keys"));
        }
        let algorithm = convert::jws_algorithm(self.algorithm)?;
        let keys = self.keys.iter().map(|key| known(asked, Some(key))).collect::<Result<Vec<_>>>()?;
        let jwks = asked.host.kms.jwks(&asked.caller, &keys, algorithm)?.to_string();
        Ok(proto::GetJwksResponse { jwks })
    }
}
