//! Nothing that a module wrote or was told lasts: an instance that was asked before answers as one that never was.

use std::path::Path;
use std::process::Command;

use super::*;
use crate::policy::opa::input::Members;

/// A guest that does all it can to remember, and whose reason is a fingerprint of what it sees.
const REMEMBERS: &[u8] = include_bytes!("remembers.wasm");

/// The policy as [`Host::load_with`] makes it.
fn load(host: &Host, wasm: &[u8], document: &Document<'_>) -> OpaPolicy {
    let module = Module::new(host.engine(), watched(&own_memory(wasm, Limits::OPA_PAGES).unwrap()).unwrap()).unwrap();
    OpaPolicy::new(host, &module, true, document, &Limits::default()).unwrap()
}

/// The module with a letter of this name exchanged.
fn without(wasm: &[u8], name: &[u8]) -> Vec<u8> {
    let place = wasm.windows(name.len()).position(|part| part == name).unwrap();
    let mut other = wasm.to_vec();
    other[place + name.len() - 1] = b'x';
    other
}

/// Numbers that are the same in each run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }
}

/// What requests are made of.
struct Words {
    roles: Vec<Vec<String>>,
    contexts: Vec<Vec<(String, String)>>,
}

impl Words {
    fn new() -> Self {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        Self {
            roles: vec![
                vec![],
                texts(&["signer"]),
                texts(&["encryptor", "break-glass"]),
                texts(&["x\"\\", "decryptor"]),
            ],
            contexts: vec![vec![], vec![pair("order", "4711")], vec![pair("a", "é\u{1F511}"), pair("b", "")]],
        }
    }

    /// One of many requests, most of which come again with other numbers.
    fn request(&self, numbers: &mut Numbers) -> Input<'_> {
        let mut input = request(
            numbers.one(&[Action::Sign, Action::Encrypt, Action::Decrypt, Action::Find]),
            numbers.one(&["service:order-v1", "user:ada", "user:\"\n"]),
            &self.roles[numbers.below(self.roles.len() as u64) as usize],
        );
        input.mechanism = numbers.one(&[None, Some("AES_GCM"), Some("ECDSA_SHA256")]);
        input.time.0 = 1_790_000_000_000 + numbers.below(3) * numbers.below(1_000_000_000_000);
        input.sequence = numbers.one(&[1, 2, 3, 10, 4_294_967_296, 1 << 53, u64::MAX]);
        input.last_second = numbers.one(&[1, 1, 2, 77, u32::MAX]);
        input.last_minute = numbers.one(&[1, 1, 5000]);
        input.data_len = numbers.one(&[None, Some(0), Some(32), Some(u64::MAX)]);
        input.session = numbers.one(&["17", "17", "18", "18446744073709551615", "018", "s-1", ""]);
        input.context = &self.contexts[numbers.below(3) as usize];
        let name = numbers.one(&["payment_ec", "jwt_1", "release", ""]);
        match (numbers.below(4), &mut input.key) {
            (0, key) => *key = None,
            (_, Some(key)) => {
                (key.name, key.version_age) = (name, numbers.one(&[0, 1, 10_000_000_000]));
                key.tags = &self.roles[numbers.below(2) as usize];
            }
            _ => {}
        }
        input
    }
}

/// The answer of an instance that was never asked before.
fn fresh(policy: &OpaPolicy, input: &Input<'_>) -> Result<Answer, Failure> {
    let mut guest = policy.instantiate().unwrap();
    guest.decide(policy.entrypoint, input, policy.fuel)
}

#[test]
fn a_module_that_does_all_it_can_to_remember_answers_as_one_that_was_never_asked() {
    let words = Words::new();
    let in_parts = REMEMBERS.to_vec();
    let at_once = without(REMEMBERS, b"opa_value_add_path");
    let in_steps = without(&at_once, b"\x08opa_eval");
    for host in hosts() {
        for module in [&in_parts, &at_once, &in_steps] {
            let policy = load(&host, module, &Document::default());
            let mut numbers = Numbers(4711);
            let mut reasons = std::collections::BTreeSet::new();
            let requests = if host.execution() == Execution::Compiled { 60 } else { 10 };
            for _ in 0..requests {
                let input = words.request(&mut numbers);
                let answer = policy.answer(&input).unwrap();
                assert_eq!(Ok(&answer), fresh(&policy, &input).as_ref());
                reasons.insert(answer.reason);
            }
            assert!(reasons.len() > requests * 2 / 3, "the fingerprints tell requests apart");
        }
    }
}

#[test]
fn what_the_module_is_told_does_not_depend_on_what_was_asked_before() {
    let words = Words::new();
    let policy = load(&hosts()[0], REMEMBERS, &Document::default());
    let mut numbers = Numbers(7);
    let requests: Vec<_> = (0..30).map(|_| words.request(&mut numbers)).collect();
    let forwards: Vec<_> = requests.iter().map(|input| policy.answer(input)).collect();
    let again: Vec<_> = requests.iter().map(|input| policy.answer(input)).collect();
    let mut backwards: Vec<_> = requests.iter().rev().map(|input| policy.answer(input)).collect();
    backwards.reverse();
    assert_eq!(forwards, again);
    assert_eq!(forwards, backwards);
}

#[test]
fn an_instance_that_is_not_put_back_remembers() {
    // Otherwise the tests above could not fail.
    let words = Words::new();
    let policy = load(&hosts()[0], REMEMBERS, &Document::default());
    let input = words.request(&mut Numbers(1));
    let mut guest = policy.instantiate().unwrap();
    guest.parts = None;
    let first = guest.decide(policy.entrypoint, &input, policy.fuel).unwrap();
    assert_eq!(guest.decide(policy.entrypoint, &input, policy.fuel).unwrap(), first);
    guest.kept = None;
    assert_ne!(guest.decide(policy.entrypoint, &input, policy.fuel).unwrap(), first);
}

#[test]
fn a_module_that_cannot_be_watched_gets_an_instance_for_each_decision() {
    // It exports something by our name.
    let mut module = without(REMEMBERS, b"opa_value_add_path");
    let name = b"opa_value_add";
    let place = module.windows(name.len()).position(|part| part == name).unwrap();
    module[place..place + 5].copy_from_slice(b"kmss.");
    assert!(watched(&own_memory(&module, Limits::OPA_PAGES).unwrap()).is_none());
    let (host, words) = (&hosts()[0], Words::new());
    let policy = host.load(&module, &Limits::default(), None).unwrap();
    let input = words.request(&mut Numbers(1));
    let ask = || policy.answer(&input, &Encoded::default());
    let first = ask();
    assert_eq!(first.verdict, Verdict::Allow);
    assert!((0..5).all(|_| ask() == first));
}

/// The prebuilt bundle: its module and its data.
fn rbac(directory: &Path) -> (Vec<u8>, Vec<u8>) {
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join("../policy-modules/prebuilt/rbac.tar.gz");
    let unpack = |name: &str| {
        let unpacked = Command::new("tar").arg("-xzf").arg(&archive).arg(name).current_dir(directory).status();
        assert!(unpacked.unwrap().success());
        std::fs::read(directory.join(&name[1..])).unwrap()
    };
    (unpack("/policy.wasm"), unpack("/data.json"))
}

#[test]
fn a_bundle_decides_of_requests_in_parts_as_of_whole_ones() {
    let directory = tempfile::tempdir().unwrap();
    let (wasm, data) = rbac(directory.path());
    let document = Document { data: Some(&data), entrypoint: None };
    let words = Words::new();
    let policy = load(&hosts()[0], &wasm, &document);
    let mut numbers = Numbers(99);
    let mut whole = policy.instantiate().unwrap();
    assert!(whole.parts.take().is_some());
    let mut allowed = 0;
    for n in 0..4000 {
        let input = words.request(&mut numbers);
        let answer = policy.answer(&input);
        assert_eq!(answer, whole.decide(policy.entrypoint, &input, policy.fuel), "{input:?}");
        if n % 100 == 0 {
            assert_eq!(answer, fresh(&policy, &input));
        }
        allowed += u32::from(answer.unwrap().verdict == Verdict::Allow);
    }
    assert!((500..3500).contains(&allowed), "{allowed}");
}

#[test]
fn a_bundle_sees_in_parts_what_the_whole_request_says() {
    let directory = tempfile::tempdir().unwrap();
    let rego = "package kmss\nimport rego.v1\ndecision := {\"allow\": true, \"reason\": json.marshal(input)}\n";
    let Some(wasm) = bundle::build(directory.path(), rego) else { return };
    let words = Words::new();
    let policy = load(&hosts()[0], &wasm, &Document::default());
    let mut numbers = Numbers(3);
    let mut text = Vec::new();
    for _ in 0..2000 {
        let input = words.request(&mut numbers);
        let seen = policy.answer(&input).unwrap().reason;
        input::write(&input, Members::All, &mut text).unwrap();
        let json = |text: &[u8]| serde_json::from_slice::<serde_json::Value>(text).unwrap();
        assert_eq!(json(seen.as_bytes()), json(&text));
    }
}
