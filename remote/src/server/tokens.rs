//! Random tokens from the vault, and their values.

use libkmss::error::Result;
use libkmss::mechanism::Format;
use libkmss::operation::{Detokenize, Tokenize};
use zeroize::Zeroizing;

use super::batch;
use super::call::{Asked, Call, argument};
use crate::convert;
use crate::proto::{self, token_result};

/// Most values of a call.
const MAX_VALUES: usize = 256;

impl Call for proto::TokenizeRequest {
    type Answer = proto::TokenizeResponse;
    const METHOD: &'static str = "Tokenize";

    fn key(&self) -> Option<&proto::KeyRef> {
        self.key.as_ref()
    }

    fn request_id(&self) -> &[u8] {
        &self.request_id
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::TokenizeResponse> {
        let (key, format) = (asked.object(self.key.as_ref())?, format(&self.format, self.values.len())?);
        let cipher = convert::block_cipher(self.cipher)?;
        let one = |value: Vec<u8>| {
            let (key, format, value, life) = (key.clone(), format.clone(), Zeroizing::new(value), self.life_seconds);
            asked.host.kms.perform(&asked.caller, Tokenize { key, cipher, format, value, life })
        };
        let results = self.values.into_iter().map(|value| result(one(value), &self.request_id)).collect();
        Ok(proto::TokenizeResponse { results })
    }
}

impl Call for proto::DetokenizeRequest {
    type Answer = proto::DetokenizeResponse;
    const METHOD: &'static str = "Detokenize";

    fn key(&self) -> Option<&proto::KeyRef> {
        self.key.as_ref()
    }

    fn request_id(&self) -> &[u8] {
        &self.request_id
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::DetokenizeResponse> {
        let (key, format) = (asked.object(self.key.as_ref())?, format(&self.format, self.tokens.len())?);
        let (cipher, masked) = (convert::block_cipher(self.cipher)?, self.masked);
        let one = |token: Vec<u8>| {
            let (key, format) = (key.clone(), format.clone());
            asked.host.kms.detokenize(&asked.caller, Detokenize { key, cipher, format, token, masked })
        };
        let results = self.tokens.into_iter().map(|token| result(one(token), &self.request_id)).collect();
        Ok(proto::DetokenizeResponse { results })
    }
}

fn format(text: &str, values: usize) -> Result<Format> {
    if values > MAX_VALUES {
        return Err(argument("a call has at most 256 values"));
    }
    text.parse()
}

fn result(outcome: Result<Zeroizing<String>>, request_id: &[u8]) -> proto::TokenResult {
    let result = match outcome {
        Ok(mut text) => token_result::Result::Text(std::mem::take(&mut *text).into_bytes()),
        Err(error) => {
            token_result::Result::Error(batch::error(&error, request_id.get(..16).unwrap_or_default().to_vec()))
        }
    };
    proto::TokenResult { result: Some(result) }
}
