//! Epochs: who signs, and how one key hands over to the next.

use audit_proof::{Certificate, Checkpoint, Edge, Note};

use super::signer::Signer;
use super::state::{State, state_key};
use super::{SealOptions, Sealer, Work, is_over, unsound};
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::store::{Batch, Condition, Revision};

/// Bytes of chance in the name of a log that nobody named.
const NAME_LEN: usize = 16;
/// Tries to settle the first key with other processes.
const ATTEMPTS: u32 = 8;

impl Sealer {
    /// The state; made with the first keys by whoever comes first.
    ///
    /// The root key is drawn, certifies the first epoch's key, and is forgotten: nobody can give a log another beginning.
    pub(super) fn settled(&self) -> Result<(State, Revision)> {
        for _ in 0..ATTEMPTS {
            if let Some(found) = self.records().state()? {
                return Ok(found);
            }
            let origin = self.origin()?;
            let (now, edge) = (self.clock.now(), Edge::new(self.tree_hash()));
            let root = Signer::generate(self.suite, &origin, &*self.random)?;
            let first = Signer::generate(self.suite, &origin, &*self.random)?;
            let certificate = certificate(&root, (1, &first), &edge, now)?;
            let extensions = vec![format!("time {}", now.0)];
            let checkpoint = first.sign(&Checkpoint { origin, size: 0, root: edge.root(), extensions })?;
            let (records, random) = (self.records(), &*self.random);
            let ops = vec![
                records.put_root(random, root.public())?,
                records.put_certificate(random, 1, &certificate)?,
                records.put_secret(random, 1, first.secret())?,
                records.put_state(random, &State::new(&edge, checkpoint.to_string(), now))?,
            ];
            let conditions = vec![Condition::Absent(state_key()?)];
            // Whoever was faster, theirs is the one that counts.
            let _ = self.store.commit(&Batch { conditions, ops, invalidates: false })?;
        }
        Err(Error::new(ErrorKind::Busy, "the audit's key could not be settled with other processes"))
    }

    pub(super) fn is_epoch_over(&self, work: &Work, options: &SealOptions) -> bool {
        options.new_epoch || is_over(self.clock.now(), work.state.since, self.settings.epoch)
    }

    /// Makes the next epoch's key; the old one certifies it and is overwritten by it.
    pub(super) fn rotate(&self, work: &mut Work) -> Result<()> {
        let now = self.clock.now();
        let epoch = work.state.epoch.checked_add(1).ok_or_else(unsound)?;
        let next = Signer::generate(self.suite, work.signer.public().name(), &*self.random)?;
        let certificate = certificate(&work.signer, (epoch, &next), &work.rim.edge(), now)?;
        let (records, random) = (self.records(), &*self.random);
        let ops = vec![
            records.put_certificate(random, epoch, &certificate)?,
            records.put_secret(random, epoch, next.secret())?,
        ];
        (work.state.epoch, work.state.since) = (epoch, now);
        self.commit_state(work, ops)?;
        work.signer = next;
        Ok(())
    }

    /// The key that witnesses know the log by; made by whoever comes first. It lasts, because nobody tells witnesses of epochs,
    /// and nothing that is verified here rests on it.
    pub(super) fn lasting(&self, origin: &str) -> Result<Signer> {
        for _ in 0..ATTEMPTS {
            if let Some(secret) = self.records().lasting()? {
                return Signer::new(self.suite, origin, secret);
            }
            let fresh = Signer::generate(self.suite, origin, &*self.random)?;
            // Whoever was faster, theirs is the one that counts.
            let _ = self.store.commit(&self.records().put_lasting(&*self.random, fresh.secret())?)?;
        }
        Err(Error::new(ErrorKind::Busy, "the audit's key for witnesses could not be settled with other processes"))
    }

    fn origin(&self) -> Result<String> {
        if !self.settings.origin.is_empty() {
            return Ok(self.settings.origin.clone());
        }
        let mut name = [0; NAME_LEN];
        self.random.fill(&mut name)?;
        Ok(format!("kmss-audit/{}", name.iter().map(|b| format!("{b:02x}")).collect::<String>()))
    }
}

/// What `signer` says of the key after it.
fn certificate(signer: &Signer, (epoch, next): (u64, &Signer), edge: &Edge, now: Timestamp) -> Result<Note> {
    let extensions = vec![format!("time {}", now.0), Certificate::extension(epoch, next.public())];
    let origin = signer.public().name().to_owned();
    signer.sign(&Checkpoint { origin, size: edge.size(), root: edge.root(), extensions })
}
