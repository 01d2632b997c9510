//! Messages that are signed, authenticated or verified. Their mechanisms take all their parameters at the beginning.

use cryptoki_sys::{CKR_BUFFER_TOO_SMALL, CKR_OPERATION_ACTIVE};
use libkmss::backend::{Signing, Verifying, within};
use libkmss::operation::{ObjectRef, Sign, Verify};

use crate::module::active::Ongoing;
use crate::module::process::{SignMessages, VerifyMessages};
use crate::module::session::SessionView;
use crate::raw::pointers::Output;
use crate::rv::{InContext, Result, Rv};
use crate::verification;

impl SignMessages {
    /// C_SignMessage. A call that asks for the length begins the message, and the next one signs it.
    pub(crate) fn whole(&mut self, view: &SessionView, data: &[u8], out: Output<'_>) -> Result<()> {
        if self.message.as_ref().is_some_and(|message| message.parts) {
            return Err(Rv(CKR_OPERATION_ACTIVE));
        }
        let message = match self.message.take() {
            Some(asked) => asked,
            None => self.start(view)?,
        };
        self.finish(message, data, out)
    }

    /// C_SignMessageBegin.
    pub(crate) fn begin(&mut self, view: &SessionView) -> Result<()> {
        self.check_idle()?;
        let mut message = self.start(view)?;
        message.parts = true;
        self.message = Some(message);
        Ok(())
    }

    /// C_SignMessageNext; `out` for the last part.
    pub(crate) fn next(&mut self, data: &[u8], out: Option<Output<'_>>) -> Result<()> {
        let mut message = self.resume()?;
        if let Some(out) = out {
            return self.finish(message, data, out);
        }
        message.unfinished.update(data, |signing| signing.update(data))?;
        self.message = Some(message);
        Ok(())
    }

    fn start(&mut self, view: &SessionView) -> Result<Ongoing<Box<dyn Signing>>> {
        let confirmation = self.enter()?;
        let sign = Sign { key: ObjectRef::from(&self.key), how: self.how.clone() };
        let message = Ongoing::with_key(view.kms.begin(&view.caller, sign).for_key()?, view, self.key.private);
        message.confirmed(confirmation)
    }

    fn finish(&mut self, mut message: Ongoing<Box<dyn Signing>>, data: &[u8], mut out: Output<'_>) -> Result<()> {
        let len = message.unfinished.running().signature_len();
        out.tell(len);
        if out.is_query() {
            self.message = Some(message);
            return Ok(());
        }
        let Some(space) = out.space(len) else {
            self.message = Some(message);
            return Err(Rv(CKR_BUFFER_TOO_SMALL));
        };
        let written = message.unfinished.finish(data, |signing| {
            if !data.is_empty() {
                signing.update(data)?;
            }
            within(len, signing.finish(space))
        });
        match written {
            Ok(written) => {
                out.tell(written);
                Ok(())
            }
            Err(error) => {
                out.wipe(len);
                Err(error.into())
            }
        }
    }
}

impl VerifyMessages {
    /// C_VerifyMessage.
    pub(crate) fn whole(&mut self, view: &SessionView, data: &[u8], signature: &[u8]) -> Result<()> {
        self.check_idle()?;
        verification::finish(&mut self.start(view)?, data, signature)
    }

    /// C_VerifyMessageBegin.
    pub(crate) fn begin(&mut self, view: &SessionView) -> Result<()> {
        self.check_idle()?;
        self.message = Some(self.start(view)?);
        Ok(())
    }

    /// C_VerifyMessageNext; the signature comes with the last part.
    pub(crate) fn next(&mut self, data: &[u8], signature: Option<&[u8]>) -> Result<()> {
        let mut message = self.resume()?;
        if let Some(signature) = signature {
            return verification::finish(&mut message, data, signature);
        }
        message.unfinished.update(data, |verifying| verifying.update(data))?;
        self.message = Some(message);
        Ok(())
    }

    fn start(&mut self, view: &SessionView) -> Result<Ongoing<Box<dyn Verifying>>> {
        let confirmation = self.enter()?;
        let verify = Verify { key: ObjectRef::from(&self.key), how: self.how.clone() };
        let mut message = Ongoing::with_key(view.kms.begin(&view.caller, verify).for_key()?, view, self.key.private);
        message.two_halves = verification::ecdsa_len(&self.how.mechanism, &self.key);
        message.confirmed(confirmation)
    }
}
