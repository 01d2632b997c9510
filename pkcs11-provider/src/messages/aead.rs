//! Messages that are encrypted or decrypted with a tag of their own.

use cryptoki_sys::CKR_BUFFER_TOO_SMALL;
use libkmss::backend::within;
use libkmss::operation::{Chosen, Decrypt, DrawRandom, Encrypt, ObjectRef};

use crate::cipher::Cipher;
use crate::module::active::Ongoing;
use crate::module::process::CipherMessages;
use crate::module::session::SessionView;
use crate::raw::message::MessageParameter;
use crate::raw::pointers::Output;
use crate::raw::template::u64_of;
use crate::rv::{InContext, Result, Rv};

impl CipherMessages {
    /// C_EncryptMessage and C_DecryptMessage.
    pub(crate) fn whole(
        &mut self,
        view: &SessionView,
        mut parameter: MessageParameter,
        aad: Vec<u8>,
        input: &[u8],
        mut out: Output<'_>,
    ) -> Result<()> {
        self.check_idle()?;
        // The text is as long on either side. Whoever only asks has not begun a message.
        out.tell(input.len());
        if out.is_query() {
            return Ok(());
        }
        if out.capacity() < input.len() {
            return Err(Rv(CKR_BUFFER_TOO_SMALL));
        }
        let (message, nonce) = self.start(view, &parameter, aad)?;
        finish(message, self.how.encrypt, &mut parameter, input, &mut out)?;
        if self.how.encrypt {
            parameter.tell_nonce(&nonce);
        }
        Ok(())
    }

    /// C_EncryptMessageBegin and C_DecryptMessageBegin.
    pub(crate) fn begin(&mut self, view: &SessionView, mut parameter: MessageParameter, aad: Vec<u8>) -> Result<()> {
        self.check_idle()?;
        let (message, nonce) = self.start(view, &parameter, aad)?;
        if self.how.encrypt {
            parameter.tell_nonce(&nonce);
        }
        self.message = Some(message);
        Ok(())
    }

    /// C_EncryptMessageNext and C_DecryptMessageNext.
    pub(crate) fn next(
        &mut self,
        mut parameter: MessageParameter,
        input: &[u8],
        mut out: Output<'_>,
        last: bool,
    ) -> Result<()> {
        let mut message = self.resume()?;
        let running = message.unfinished.running();
        let bound = if last { running.apart_len(input.len()) } else { running.update_len(input.len()) };
        out.tell(bound);
        if out.is_query() && (last || bound > 0) {
            self.message = Some(message);
            return Ok(());
        }
        if out.capacity() < bound {
            self.message = Some(message);
            return Err(Rv(CKR_BUFFER_TOO_SMALL));
        }
        if last {
            return finish(message, self.how.encrypt, &mut parameter, input, &mut out);
        }
        let processed = if bound == 0 {
            message.unfinished.update(input, |cipher| within(0, cipher.update(input, &mut [])))
        } else {
            let space = out.space(bound).ok_or(Rv(CKR_BUFFER_TOO_SMALL))?;
            message.unfinished.produce(input, |cipher| within(bound, cipher.update(input, space)))
        };
        match processed {
            Ok(written) => {
                out.tell(written);
                self.message = Some(message);
                Ok(())
            }
            Err(error) => {
                out.wipe(bound);
                Err(error.into())
            }
        }
    }

    /// Begins a message in the hall: decided on its own, with a nonce of its own.
    fn start(
        &mut self,
        view: &SessionView,
        parameter: &MessageParameter,
        aad: Vec<u8>,
    ) -> Result<(Ongoing<Cipher>, Vec<u8>)> {
        let confirmation = self.enter()?;
        let nonce = if self.how.encrypt {
            let random = |out: &mut [u8]| Ok(view.kms.perform(&view.caller, DrawRandom { out })?);
            self.how.nonces.next(parameter.generator()?, parameter.nonce(), random)?
        } else {
            parameter.nonce()
        };
        let mechanism = parameter.mechanism(nonce.clone(), aad, false)?;
        let how = Chosen { mechanism, number: Some(u64_of(self.how.number)) };
        let key = ObjectRef::from(&self.key);
        let unfinished = if self.how.encrypt {
            view.kms.begin(&view.caller, Encrypt { key, how }).for_key()?
        } else {
            view.kms.begin(&view.caller, Decrypt { key, how }).for_key()?
        };
        let message = Ongoing::with_key(unfinished, view, self.key.private);
        Ok((message.confirmed(confirmation)?, nonce))
    }
}

/// Ends a message: text to `out`, tag to or from where the parameter says.
fn finish(
    mut message: Ongoing<Cipher>,
    encrypt: bool,
    parameter: &mut MessageParameter,
    input: &[u8],
    out: &mut Output<'_>,
) -> Result<()> {
    let bound = message.unfinished.running().apart_len(input.len());
    let mut tag = parameter.tag();
    // A message without text needs no place for it.
    let mut nothing = [];
    let space = if bound == 0 { Some(nothing.as_mut_slice()) } else { out.space(bound) };
    let space = space.ok_or(Rv(CKR_BUFFER_TOO_SMALL))?;
    match message.unfinished.finish(input, |cipher| within(bound, cipher.finish_apart(input, space, &mut tag))) {
        Ok(written) => {
            out.tell(written);
            if encrypt {
                parameter.tell_tag(&tag);
            }
            Ok(())
        }
        Err(error) => {
            out.wipe(bound);
            Err(error.into())
        }
    }
}
