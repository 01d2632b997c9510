//! Pairs that follow from a seed and a path.

use libkmss::error::Result;
use libkmss::key::KeyClass;
use libkmss::mechanism::HdDerivation;
use libkmss::operation::DeriveChild;

use super::call::{Asked, Call, argument};
use crate::convert;
use crate::proto::{self, KeyRef};

impl Call for proto::DeriveChildRequest {
    type Answer = proto::DeriveChildResponse;
    const METHOD: &'static str = "DeriveChild";
    const MAKES: bool = true;

    fn key(&self) -> Option<&KeyRef> {
        self.seed.as_ref()
    }

    fn draft(&self) -> Option<&proto::Draft> {
        self.private.as_ref()
    }

    fn request_id(&self) -> &[u8] {
        &self.request_id
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::DeriveChildResponse> {
        if let (Some(private), Some(public)) = (asked.made_before(0)?, asked.made_before(1)?) {
            return Ok(proto::DeriveChildResponse { private: Some(private), public: Some(public) });
        }
        let seed = asked.object(self.seed.as_ref())?;
        let how = self.derivation.ok_or_else(|| argument("it is not said which key of the seed"))?;
        let how = HdDerivation::try_from(how)?;
        let draft = |index, asked_for: Option<proto::Draft>, class| {
            convert::key_draft(asked.stored(index)?, asked_for.unwrap_or_default(), how.curve().key_type(), class)
        };
        let private = draft(0, self.private, KeyClass::Private)?;
        let public = draft(1, self.public, KeyClass::Public)?;
        let operation = DeriveChild { seed, how, private, public };
        let (private, public) = asked.host.kms.perform(&asked.caller, operation)?;
        Ok(proto::DeriveChildResponse { private: Some(private.as_ref().into()), public: Some(public.as_ref().into()) })
    }
}
