//! Key material in an envelope that only a device opens.

use std::sync::Arc;

use super::Site;
use crate::device::{Devices, WrappingKey, unwrap, wrap};
use crate::error::Result;
use crate::key::Envelope;
use crate::random::Random;
use crate::secret::Secret;
use crate::suite::Suite;

/// The envelope of one version of a domain key. The device is looked for when it is needed, so that everything else of the
/// namespace works without it.
pub(super) struct InDevice {
    devices: Arc<Devices>,
    key: WrappingKey,
    suite: Suite,
    /// What everything is bound to, before its own context.
    bound: String,
}

impl InDevice {
    pub(super) fn new(devices: &Arc<Devices>, suite: Suite, site: &Site, (number, key): (u32, &WrappingKey)) -> Self {
        Self { devices: Arc::clone(devices), key: key.clone(), suite, bound: site.material_context(number) }
    }

    fn bind(&self, context: &[u8]) -> Vec<u8> {
        [self.bound.as_bytes(), context].concat()
    }
}

impl Envelope for InDevice {
    fn close(&self, random: &dyn Random, context: &[u8], plain: &Secret) -> Result<Vec<u8>> {
        let device = self.devices.find(&self.key.hsm)?;
        wrap(device, &self.key, (random, self.suite), &self.bind(context), plain)
    }

    fn open(&self, context: &[u8], closed: &[u8]) -> Result<Secret> {
        unwrap(self.devices.find(&self.key.hsm)?, &self.key, self.suite, &self.bind(context), closed)
    }

    fn device(&self) -> &str {
        &self.key.hsm
    }
}
