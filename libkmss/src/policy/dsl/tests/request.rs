//! Requests for tests.

use crate::clock::Timestamp;
use crate::key::Action;
use crate::mechanism::KeyType;
use crate::policy::abi::Encoded;
use crate::policy::dsl::Policy;
use crate::policy::host::{Host, Limits, Trust};
use crate::policy::{Answer, Flags, Input, InputKey};

/// 2026-11-22T12:00:00Z, a Sunday.
pub(super) const NOON: u64 = 1_795_348_800_000;

/// A request that owns what it says.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) action: Action,
    pub(super) mechanism: Option<&'static str>,
    pub(super) time: u64,
    pub(super) last_second: u32,
    pub(super) last_minute: u32,
    pub(super) data_len: Option<u64>,
    pub(super) flags: Flags,
    pub(super) uid: u32,
    pub(super) has_key: bool,
    pub(super) key: String,
    pub(super) session_key: bool,
    pub(super) key_type: Option<KeyType>,
    pub(super) bits: u32,
    pub(super) version_age: u64,
    pub(super) tags: Vec<String>,
    pub(super) tenant: String,
    pub(super) namespace: String,
    pub(super) principal: String,
    pub(super) roles: Vec<String>,
    pub(super) process: String,
    pub(super) source: String,
    pub(super) context: Vec<(String, String)>,
}

impl Request {
    /// Somebody does something with a key.
    pub(super) fn new(principal: &str, action: Action, key: &str) -> Self {
        Self {
            action,
            mechanism: None,
            time: NOON,
            last_second: 1,
            last_minute: 1,
            data_len: None,
            flags: Flags::default(),
            uid: u32::MAX,
            has_key: !key.is_empty(),
            key: key.to_owned(),
            session_key: false,
            key_type: None,
            bits: 0,
            version_age: 0,
            tags: Vec::new(),
            tenant: "default".to_owned(),
            namespace: "main".to_owned(),
            principal: principal.to_owned(),
            roles: Vec::new(),
            process: String::new(),
            source: String::new(),
            context: Vec::new(),
        }
    }

    pub(super) fn roles(mut self, roles: &[&str]) -> Self {
        self.roles = roles.iter().map(|role| (*role).to_owned()).collect();
        self
    }

    pub(super) fn input(&self) -> Input<'_> {
        Input {
            action: self.action,
            mechanism: self.mechanism,
            time: Timestamp(self.time),
            sequence: 1,
            last_second: self.last_second,
            last_minute: self.last_minute,
            data_len: self.data_len,
            flags: self.flags,
            uid: self.uid,
            pid: 1,
            key: self.has_key.then_some(InputKey {
                id: "",
                name: &self.key,
                session: self.session_key,
                key_type: self.key_type,
                bits: self.bits,
                created: Timestamp(1),
                version_age: self.version_age,
                tags: &self.tags,
            }),
            tenant: &self.tenant,
            namespace: &self.namespace,
            principal: &self.principal,
            roles: &self.roles,
            process: &self.process,
            source: &self.source,
            session: "",
            context: &self.context,
        }
    }
}

/// A policy in both forms.
pub(super) struct Both {
    pub(super) policy: Policy,
    compiled: crate::policy::host::Policy,
}

impl Both {
    pub(super) fn new(host: &Host, source: &str) -> Self {
        let policy = Policy::parse(source).unwrap_or_else(|e| panic!("{source}\n{e}"));
        let compiled = policy.compile().unwrap();
        let limits = Limits { fuel: None, pages: Some(compiled.pages) };
        let compiled = host.load(&compiled.wasm, &limits, None).unwrap_or_else(|e| panic!("{source}\n{e}"));
        Self { policy, compiled }
    }

    /// What both say; they must agree.
    #[track_caller]
    pub(super) fn decide(&self, request: &Request) -> Answer {
        let input = request.input();
        let mut expected = self.policy.decide(&input);
        // As in the engine: what it says that it does not look at is not there.
        let mut seen = input.clone();
        seen.keep_only(self.compiled.reads());
        let mut answer = self.compiled.answer(&seen, &Encoded::of(&seen));
        // Whoever decides nothing has no reason.
        if expected.verdict == crate::policy::Verdict::NotApplicable {
            expected.reason = String::new();
            answer.reason = String::new();
        }
        assert_eq!(answer, expected, "compiled, and interpreted\n{request:?}\n{}", self.policy.formatted());
        expected
    }
}

pub(super) fn host() -> Host {
    Host::new(Trust::Trusted).unwrap()
}
