//! Several calls at once.

use std::sync::Arc;

use libkmss::error::{Error, Result};

use super::Server;
use super::call::{Call, argument};
use super::route::Context;
use crate::proto::{self, batch_call, batch_result};
use crate::status::{self, Circumstances};

/// Most calls of a batch.
const MAX_CALLS: usize = 256;

impl Server {
    /// Answers every call by itself, in order.
    pub(super) async fn batch(
        self: &Arc<Self>,
        context: &Context,
        batch: proto::BatchRequest,
    ) -> Result<proto::BatchResponse> {
        if batch.calls.len() > MAX_CALLS {
            return Err(argument("a batch has at most 256 calls"));
        }
        let mut results = Vec::with_capacity(batch.calls.len());
        for one in batch.calls {
            use batch_call::Call as One;
            use batch_result::Result as Outcome;
            let result = match one.call {
                Some(One::Sign(call)) => self.one(context, call, Outcome::Sign).await,
                Some(One::Verify(call)) => self.one(context, call, Outcome::Verify).await,
                Some(One::Encrypt(call)) => self.one(context, call, Outcome::Encrypt).await,
                Some(One::Decrypt(call)) => self.one(context, call, Outcome::Decrypt).await,
                Some(One::EncryptMessage(call)) => self.one(context, call, Outcome::EncryptMessage).await,
                Some(One::DecryptMessage(call)) => self.one(context, call, Outcome::DecryptMessage).await,
                Some(One::SignJws(call)) => self.one(context, call, Outcome::SignJws).await,
                Some(One::VerifyJws(call)) => self.one(context, call, Outcome::VerifyJws).await,
                None => failed(&argument("a call of the batch is empty, or not known here"), Vec::new()),
            };
            results.push(proto::BatchResult { result: Some(result) });
        }
        Ok(proto::BatchResponse { results })
    }

    async fn one<C: Call>(
        self: &Arc<Self>,
        context: &Context,
        call: C,
        wrap: impl FnOnce(C::Answer) -> batch_result::Result,
    ) -> batch_result::Result {
        let id = call.request_id().get(..16).unwrap_or_default().to_vec();
        match self.answer(context, call).await {
            Ok(answer) => wrap(answer),
            Err(error) => failed(&error, id),
        }
    }
}

fn failed(error: &Error, request_id: Vec<u8>) -> batch_result::Result {
    batch_result::Result::Error(self::error(error, request_id))
}

/// An error of one of several.
pub(super) fn error(error: &Error, request_id: Vec<u8>) -> proto::BatchError {
    let known = Circumstances { request_id, ..Circumstances::default() };
    proto::BatchError {
        code: status::code(error).into(),
        message: error.message().to_owned(),
        detail: Some(status::detail(error, &known)),
    }
}
