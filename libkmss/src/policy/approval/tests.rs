#![allow(clippy::unwrap_used, clippy::panic)]
use super::*;
use crate::store::MemoryStore;
use crate::suite::Suite;
use crate::tenant::ObjectId;
use std::sync::atomic::{AtomicU8, Ordering};

const NOW: Timestamp = Timestamp(1_000_000);

struct Counting(AtomicU8);

impl Random for Counting {
    fn fill(&self, out: &mut [u8]) -> Result<()> {
        out.iter_mut().for_each(|b| *b = self.0.fetch_add(1, Ordering::Relaxed));
        Ok(())
    }
}

struct Bench {
    store: Arc<MemoryStore>,
    approvals: Approvals,
}

fn bench() -> Bench {
    let store = Arc::new(MemoryStore::default());
    let random = Arc::new(Counting(AtomicU8::new(1)));
    let home = Arc::new(DomainKey::ephemeral(Suite::Nist, &*random).unwrap());
    let approvals = Approvals::new(Arc::clone(&store) as _, random, home);
    Bench { store, approvals }
}

fn place() -> Place {
    Place { namespace: NamespaceId([7; 16]), incarnation: 1 }
}

fn wanted() -> Wanted {
    Wanted {
        tenant: "default".into(),
        namespace: "web".into(),
        place: place(),
        key: Some(WantedKey { id: Some(ObjectId([1; 16])), public: None, version: 1, name: "root-ca".into() }),
        with: Vec::new(),
        action: "sign".into(),
        mechanism: Some("ECDSA".into()),
        requester: "service:ca".into(),
        role: "custodian".into(),
        approvals: 2,
        window: 0,
        data: Some(serde_bytes::ByteArray::new([5; 32])),
    }
}

impl Bench {
    fn lacking(&self, wanted: &Wanted, now: Timestamp) -> (RequestId, u8) {
        match self.approvals.look(wanted, None, now).unwrap() {
            Quorum::Lacking { request, given } => (request.unwrap(), given),
            Quorum::Met(_) => panic!("nobody had approved"),
        }
    }

    fn met(&self, wanted: &Wanted, now: Timestamp) -> Spending {
        match self.approvals.look(wanted, None, now).unwrap() {
            Quorum::Met(spending) => spending,
            lacking => panic!("{lacking:?}"),
        }
    }

    fn approve(&self, id: RequestId, who: &str, now: Timestamp) -> Result<OpenRequest> {
        self.approvals.approve(place(), (id, None), who, &["custodian".to_owned()], now)
    }

    fn spend(&self, mut spending: Spending) -> Commit {
        let mut batch = Batch::default();
        spending.spend(&mut batch);
        spending.tidy(&mut batch);
        self.store.commit(&batch).unwrap()
    }
}

#[test]
fn two_of_many_approve_one_operation_once() {
    let bench = bench();
    let (id, given) = bench.lacking(&wanted(), NOW);
    assert_eq!((given, bench.lacking(&wanted(), NOW)), (0, (id, 0)));
    assert_eq!(bench.approve(id, "user:a", NOW).unwrap().approvers, ["user:a"]);
    assert_eq!(bench.lacking(&wanted(), NOW), (id, 1));
    bench.approve(id, "user:b", NOW).unwrap();
    let (first, second) = (bench.met(&wanted(), NOW), bench.met(&wanted(), NOW));
    assert_eq!(first.approvers.len(), 2);
    assert!(matches!(bench.spend(first), Commit::Committed(_)));
    // Who looked at the same time finds them spent.
    assert_eq!(bench.spend(second), Commit::Conflict);
    assert_eq!(bench.lacking(&wanted(), NOW), (id, 0));
}

#[test]
fn nobody_approves_twice_for_themselves_or_without_the_role() {
    let bench = bench();
    let (id, _) = bench.lacking(&wanted(), NOW);
    bench.approve(id, "user:a", NOW).unwrap();
    assert_eq!(bench.approve(id, "user:a", NOW).unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert_eq!(bench.approve(id, "service:ca", NOW).unwrap_err().kind(), ErrorKind::Denied);
    let roles = ["operator".to_owned()];
    let refused = bench.approvals.approve(place(), (id, None), "user:b", &roles, NOW).unwrap_err();
    assert!(refused.message().contains("custodian"), "{refused}");
    assert_eq!(bench.lacking(&wanted(), NOW), (id, 1));
    let unknown = bench.approve(RequestId([0; 16]), "user:b", NOW).unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::NotFound);
    let elsewhere = Place { incarnation: 2, ..place() };
    let moved = bench.approvals.approve(elsewhere, (id, None), "user:b", &["custodian".to_owned()], NOW).unwrap_err();
    assert_eq!(moved.kind(), ErrorKind::NotFound);
}

#[test]
fn an_approval_is_bound_to_everything_that_was_asked_for() {
    let bench = bench();
    let (id, _) = bench.lacking(&wanted(), NOW);
    bench.approve(id, "user:a", NOW).unwrap();
    bench.approve(id, "user:b", NOW).unwrap();
    let key = |version| Some(WantedKey { id: Some(ObjectId([1; 16])), public: None, version, name: "root-ca".into() });
    for other in [
        Wanted { data: Some(serde_bytes::ByteArray::new([6; 32])), ..wanted() },
        Wanted { key: key(2), ..wanted() },
        Wanted { action: "decrypt".into(), ..wanted() },
        Wanted { mechanism: Some("ECDSA_SHA256".into()), ..wanted() },
        Wanted { requester: "service:other".into(), ..wanted() },
        Wanted { role: "auditor".into(), ..wanted() },
        Wanted { with: vec![key(1).unwrap()], ..wanted() },
        Wanted { place: Place { incarnation: 2, ..place() }, ..wanted() },
        Wanted { window: 60, data: None, ..wanted() },
    ] {
        assert_ne!(bench.lacking(&other, NOW), (id, 2), "{other:?}");
    }
    assert!(matches!(bench.spend(bench.met(&wanted(), NOW)), Commit::Committed(_)));
}

#[test]
fn who_names_the_data_approves_no_other() {
    let bench = bench();
    let (id, _) = bench.lacking(&wanted(), NOW);
    let say =
        |id, data| bench.approvals.approve(place(), (id, Some([data; 32])), "user:a", &["custodian".to_owned()], NOW);
    assert!(say(id, 6).unwrap_err().message().contains("other data"));
    assert_eq!(bench.lacking(&wanted(), NOW), (id, 0));
    assert_eq!(say(id, 5).unwrap().approvers, ["user:a"]);
    let (id, _) = bench.lacking(&Wanted { window: 60, data: None, ..wanted() }, NOW);
    assert!(say(id, 5).unwrap_err().message().contains("not about certain data"));
}

#[test]
fn what_was_approved_for_a_pair_serves_each_half_once() {
    let bench = bench();
    let of_pair = Wanted { data: None, action: "destroy".into(), ..wanted() };
    let look = |half, now| bench.approvals.look(&of_pair, half, now).unwrap();
    let id = match look(Some(Half::Private), NOW) {
        Quorum::Lacking { request, .. } => request.unwrap(),
        Quorum::Met(_) => panic!("nobody had approved"),
    };
    let approve = || ["user:a", "user:b"].map(|who| bench.approve(id, who, NOW).unwrap());
    let spend = |half, now| match look(half, now) {
        Quorum::Met(spending) => matches!(bench.spend(spending), Commit::Committed(_)),
        Quorum::Lacking { .. } => false,
    };
    for (first, second) in [(Half::Private, Half::Public), (Half::Public, Half::Private)] {
        let _ = approve();
        assert!(spend(Some(first), NOW));
        assert!(bench.approvals.waiting(place(), NOW).unwrap().is_empty());
        assert!(spend(Some(second), NOW));
        assert!(!spend(Some(first), NOW) && !spend(Some(second), NOW));
    }
    // Not the same half again, nor what is no half, nor much later; and whoever asks anew starts at nothing.
    for (half, now) in [(Some(Half::Private), NOW), (None, NOW), (Some(Half::Public), Timestamp(NOW.0 + SECOND_HALF))] {
        let _ = approve();
        assert!(spend(Some(Half::Private), NOW));
        assert!(!spend(half, now), "{half:?}");
        assert!(!spend(Some(Half::Public), now));
    }
}

#[test]
fn a_window_serves_until_it_closes() {
    let bench = bench();
    let wanted = Wanted { window: 60, data: None, ..wanted() };
    let (id, _) = bench.lacking(&wanted, NOW);
    bench.approve(id, "user:a", NOW).unwrap();
    bench.approve(id, "user:b", Timestamp(NOW.0 + 30_000)).unwrap();
    for _ in 0..3 {
        assert!(matches!(bench.spend(bench.met(&wanted, Timestamp(NOW.0 + 59_999))), Commit::Committed(_)));
    }
    let closed = Timestamp(NOW.0 + 60_000);
    assert_eq!(bench.lacking(&wanted, closed), (id, 1));
    bench.approve(id, "user:a", closed).unwrap();
    let _ = bench.met(&wanted, closed);
}

#[test]
fn a_request_expires_with_what_was_approved() {
    let bench = bench();
    let (id, _) = bench.lacking(&wanted(), NOW);
    bench.approve(id, "user:a", NOW).unwrap();
    let later = Timestamp(NOW.0 + LIFE);
    assert!(bench.approvals.waiting(place(), later).unwrap().is_empty());
    assert_eq!(bench.approve(id, "user:b", later).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(bench.lacking(&wanted(), later), (id, 0));
    bench.approve(id, "user:b", later).unwrap();
    assert_eq!(bench.lacking(&wanted(), later), (id, 1), "what was approved before does not count again");
}

#[test]
fn requests_are_bounded_and_the_oldest_of_a_requester_gives_way() {
    let bench = bench();
    let of = |requester: &str, n: u8| Wanted {
        requester: requester.into(),
        data: Some(serde_bytes::ByteArray::new([n; 32])),
        ..wanted()
    };
    let _ = bench.lacking(&of("service:quiet", 0), NOW);
    for n in 0..40_u8 {
        let _ = bench.lacking(&of("service:loud", n), Timestamp(NOW.0 + u64::from(n)));
    }
    let waiting = bench.approvals.waiting(place(), NOW).unwrap();
    assert_eq!(waiting.len(), MOST_OF_ONE + 1);
    assert_eq!(waiting.first().unwrap().wanted.requester, "service:quiet");
    for n in 0..60_u8 {
        let _ = bench.approvals.look(&of(&format!("service:{n}"), n), None, NOW).unwrap();
    }
    assert_eq!(bench.approvals.waiting(place(), NOW).unwrap().len(), MOST);
    let late = bench.approvals.look(&of("service:late", 0), None, NOW).unwrap();
    assert!(matches!(late, Quorum::Lacking { request: None, given: 0 }));
}

#[test]
fn a_record_that_was_changed_denies() {
    let bench = bench();
    let (id, _) = bench.lacking(&wanted(), NOW);
    bench.approve(id, "user:a", NOW).unwrap();
    bench.approve(id, "user:b", NOW).unwrap();
    let (key, entry) = bench.store.scan("policy/approval/", None, 1).unwrap().pop().unwrap();
    let mut changed = entry.value;
    if let Some(byte) = changed.last_mut() {
        *byte ^= 1;
    }
    let ops = vec![Op::Put(key, changed)];
    let _ = bench.store.commit(&Batch { ops, ..Batch::default() }).unwrap();
    assert_eq!(bench.approvals.look(&wanted(), None, NOW).unwrap_err().kind(), ErrorKind::Damaged);
    let none = Wanted { approvals: 0, ..wanted() };
    assert_eq!(bench.approvals.look(&none, None, NOW).unwrap_err().kind(), ErrorKind::Denied);
}
