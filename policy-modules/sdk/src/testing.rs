//! Tests of policies without a host: requests made of words, and responses read back. Not part of modules.
//!
//! ```
//! use kmss_policy::testing::{Ask, AskKey, Duty, duties};
//! use kmss_policy::{Action, Decision, Request, Response, Verdict};
//!
//! static ASK_AGAIN: Response<8> = Response::new().step_up();
//!
//! fn decide(request: Request) -> Decision {
//!     match request.key() {
//!         Some(key) if key.tags().contains("pci") => Decision::allow(1).with(&ASK_AGAIN),
//!         _ => Decision::not_applicable(),
//!     }
//! }
//!
//! let ask = Ask {
//!     principal: "user:ann".into(),
//!     key: Some(AskKey { tags: vec!["pci".into()], ..AskKey::default() }),
//!     ..Ask::of(Action::DECRYPT)
//! };
//! let decision = ask.to(decide);
//! assert_eq!(decision.verdict(), Verdict::Allow);
//! assert_eq!(duties(&decision), [Duty::StepUp]);
//! ```

use crate::request::FIXED;
use crate::response::{
    AUDIT_TAG, CRITICAL, MASK, MAXIMUM_DATA, NOTIFY, QUORUM, RATE_LIMIT, REASON, SESSION_EXPIRY, STEP_UP,
};
use crate::{Action, Decision, KeyType, Mechanism, Request, Time};

/// A request to be made. The meanings are those of [`Request`]; what is not said does not apply.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "each is the accessor of `Request` of the same name")]
pub struct Ask {
    pub action: Action,
    pub mechanism: Option<Mechanism>,
    pub time: Time,
    pub sequence: u64,
    pub last_second: u32,
    pub last_minute: u32,
    pub data_len: Option<u64>,
    pub interactive: bool,
    pub mfa: bool,
    pub fips: bool,
    pub uid: Option<u32>,
    pub pid: Option<u32>,
    pub key: Option<AskKey>,
    pub tenant: String,
    pub namespace: String,
    pub principal: String,
    pub roles: Vec<String>,
    pub process: String,
    pub source: String,
    pub session: String,
    pub context: Vec<(String, String)>,
}

/// The key of an [`Ask`].
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "each is the accessor of `Key` of the same name")]
pub struct AskKey {
    pub id: String,
    pub name: String,
    pub session: bool,
    pub key_type: Option<KeyType>,
    pub bits: u32,
    pub created: Time,
    pub version_age: u64,
    pub tags: Vec<String>,
}

impl Ask {
    /// The first request of a process, about nothing but `action`.
    #[must_use]
    pub fn of(action: Action) -> Self {
        Self {
            action,
            mechanism: None,
            time: Time(0),
            sequence: 1,
            last_second: 1,
            last_minute: 1,
            data_len: None,
            interactive: false,
            mfa: false,
            fips: false,
            uid: None,
            pid: None,
            key: None,
            tenant: String::new(),
            namespace: String::new(),
            principal: String::new(),
            roles: Vec::new(),
            process: String::new(),
            source: String::new(),
            session: String::new(),
            context: Vec::new(),
        }
    }

    /// What `policy` says to it.
    ///
    /// # Panics
    /// Where the policy would trap.
    pub fn to(&self, policy: impl FnOnce(Request<'_>) -> Decision) -> Decision {
        match Request::parse(&self.encode()) {
            Some(request) => policy(request),
            None => crate::malformed(),
        }
    }

    /// The request as a host writes it (docs/policy-abi.md, section 2).
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let none = AskKey::default();
        let key = self.key.as_ref().unwrap_or(&none);
        let mut layout = Layout { fixed: Vec::with_capacity(FIXED), behind: Vec::new() };
        let has_key = self.key.is_some();
        let flags = [self.interactive, self.mfa, self.fips, has_key, has_key && key.session];
        let flags = flags.iter().rev().fold(0, |bits, flag| bits << 1 | u32::from(*flag));
        layout.words(&[1 << 16, 0, self.action.0, self.mechanism.map_or(0, |mechanism| mechanism.0)]);
        layout.wide(self.time.0);
        layout.wide(self.sequence);
        layout.words(&[self.last_second, self.last_minute]);
        layout.wide(self.data_len.unwrap_or(u64::MAX));
        layout.words(&[flags, self.uid.unwrap_or(u32::MAX), self.pid.unwrap_or(0)]);
        layout.words(&[key.key_type.map_or(0, |kind| kind.0), key.bits, FIXED as u32]);
        layout.wide(key.created.0);
        layout.wide(key.version_age);
        layout.text(&self.tenant);
        layout.text(&self.principal);
        layout.list(&self.roles);
        layout.text(&key.id);
        layout.text(&key.name);
        layout.text(&self.namespace);
        layout.list(&key.tags);
        layout.text(&self.process);
        layout.text(&self.source);
        layout.text(&self.session);
        layout.map(&self.context);
        layout.finish()
    }
}

/// The fixed part, and what stands behind it.
struct Layout {
    fixed: Vec<u8>,
    behind: Vec<u8>,
}

impl Layout {
    fn words(&mut self, words: &[u32]) {
        self.fixed.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    }

    fn wide(&mut self, number: u64) {
        self.fixed.extend(number.to_le_bytes());
    }

    /// Puts bytes behind the fixed part, aligned to 4, and tells where.
    fn put(&mut self, bytes: &[u8]) -> u32 {
        self.behind.resize(self.behind.len().next_multiple_of(4), 0);
        let offset = FIXED + self.behind.len();
        self.behind.extend(bytes);
        offset as u32
    }

    fn pair(&mut self, text: &str) -> [u32; 2] {
        if text.is_empty() { [0, 0] } else { [self.put(text.as_bytes()), text.len() as u32] }
    }

    fn text(&mut self, text: &str) {
        let pair = self.pair(text);
        self.words(&pair);
    }

    fn entries(&mut self, pairs: &[[u32; 2]], count: usize) {
        let bytes: Vec<u8> = pairs.iter().flatten().flat_map(|word| word.to_le_bytes()).collect();
        let offset = if count == 0 { 0 } else { self.put(&bytes) };
        self.words(&[offset, count as u32]);
    }

    fn list(&mut self, texts: &[String]) {
        let mut texts: Vec<&String> = texts.iter().collect();
        texts.sort();
        texts.dedup();
        let pairs: Vec<_> = texts.iter().map(|text| self.pair(text)).collect();
        self.entries(&pairs, texts.len());
    }

    fn map(&mut self, map: &[(String, String)]) {
        let mut map: Vec<_> = map.iter().collect();
        map.sort();
        let pairs: Vec<_> = map.iter().flat_map(|(name, value)| [self.pair(name), self.pair(value)]).collect();
        self.entries(&pairs, map.len());
    }

    fn finish(mut self) -> Vec<u8> {
        self.fixed.append(&mut self.behind);
        let total = (self.fixed.len() as u32).to_le_bytes();
        for (at, byte) in self.fixed.iter_mut().skip(4).zip(total) {
            *at = byte;
        }
        self.fixed
    }
}

/// An entry of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the method of `Response` of the same name")]
pub enum Duty {
    AuditTag(String),
    RateLimit { count: u32, seconds: u32 },
    MaximumData(u64),
    StepUp,
    Quorum { approvals: u8, role: String, window: u32 },
    SessionExpiry(u32),
    Notify(String),
    Mask(u8),
    Reason(String),
    Other(u16, Vec<u8>),
}

/// The entries of a decision's response, in its order.
///
/// # Panics
/// Where the response is not laid out as docs/policy-abi.md (section 5) says.
#[must_use]
pub fn duties(decision: &Decision) -> Vec<Duty> {
    let Some(response) = decision.response() else { return Vec::new() };
    let Some((total, mut rest)) = response.bytes().split_first_chunk() else { crate::malformed() };
    if u32::from_le_bytes(*total) as usize != response.bytes().len() {
        crate::malformed();
    }
    let mut duties = Vec::new();
    while let Some(([a, b, c, d], after)) = rest.split_first_chunk() {
        let length = usize::from(u16::from_le_bytes([*c, *d]));
        let Some((value, after)) = after.split_at_checked(length) else { crate::malformed() };
        duties.push(duty(u16::from_le_bytes([*a, *b]), value));
        rest = after;
    }
    duties
}

fn duty(kind: u16, value: &[u8]) -> Duty {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let word = |at: usize| crate::list::word(value, at);
    match kind & !CRITICAL {
        AUDIT_TAG => Duty::AuditTag(text(value)),
        RATE_LIMIT => Duty::RateLimit { count: word(0), seconds: word(4) },
        MAXIMUM_DATA => Duty::MaximumData(u64::from(word(0)) | u64::from(word(4)) << 32),
        STEP_UP => Duty::StepUp,
        QUORUM => {
            let role = value.get(8..).unwrap_or_default();
            Duty::Quorum { approvals: word(0).to_le_bytes()[0], role: text(role), window: word(4) }
        }
        SESSION_EXPIRY => Duty::SessionExpiry(word(0)),
        NOTIFY => Duty::Notify(text(value)),
        MASK => Duty::Mask(value.first().copied().unwrap_or_default()),
        REASON => Duty::Reason(text(value)),
        _ => Duty::Other(kind, value.to_vec()),
    }
}
