//! Random bytes.

use libkmss::error::Result;
use libkmss::operation::DrawRandom;

use super::call::{Asked, Call, argument};
use crate::proto;

/// Most bytes of a call.
const MAX: u32 = 1 << 16;

impl Call for proto::GenerateRandomRequest {
    type Answer = proto::GenerateRandomResponse;
    const METHOD: &'static str = "GenerateRandom";

    fn namespace(&self) -> &str {
        &self.namespace
    }

    fn is_quick(&self) -> bool {
        self.len <= 4096
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::GenerateRandomResponse> {
        let len = usize::try_from(self.len).ok().filter(|_| (1..=MAX).contains(&self.len));
        let mut data = vec![0; len.ok_or_else(|| argument("a call draws 1 to 65536 bytes"))?];
        asked.host.kms.perform(&asked.caller, DrawRandom { out: &mut data })?;
        Ok(proto::GenerateRandomResponse { data })
    }
}
