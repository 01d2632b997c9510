//! Connections that break in every way there is, and what the caller sees of it: nothing, or the cause within the deadline.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod operator;
mod server;
mod sharing;
mod tls;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use libkmss::clock::{Clock, SystemClock};
use libkmss::config::{RemoteConfig, Routing};
use libkmss::error::{ErrorKind, Result};

use self::server::{Fake, Proxy};
use super::fleet::{Fleet, Patience};
use crate::proto;
use crate::proto::crypto_service_client::CryptoServiceClient;

/// The deadline of the tests: that of a configuration that names none.
const DEADLINE: Duration = Duration::from_millis(2_000);

fn config(uris: &[String]) -> RemoteConfig {
    RemoteConfig {
        name: "test".to_owned(),
        uris: uris.to_vec(),
        namespace: None,
        ca: None,
        certificate: None,
        key: None,
        deadline_ms: u32::try_from(DEADLINE.as_millis()).unwrap(),
        connections: 4,
        routing: Routing::Priority,
    }
}

fn fleet(uris: &[String]) -> Fleet {
    Fleet::new(&config(uris), Arc::new(SystemClock::default())).unwrap()
}

/// Who signed.
fn ask(fleet: &Fleet, data: &[u8]) -> Result<String> {
    let request = proto::SignRequest { data: data.to_vec(), ..proto::SignRequest::default() };
    let answer = fleet.call(Patience::Use, |channel, left| {
        let mut request = tonic::Request::new(request.clone());
        request.set_timeout(left);
        let origin = channel.origin();
        async move { CryptoServiceClient::with_origin(channel, origin).sign(request).await }
    })?;
    Ok(String::from_utf8(answer.signature).unwrap())
}

/// What `f` yields and how long it took.
fn timed<T>(f: impl FnOnce() -> T) -> (T, Duration) {
    let clock = SystemClock::default();
    let begun = clock.monotonic();
    (f(), clock.monotonic().saturating_sub(begun))
}

#[test]
fn calls_over_a_unix_socket_share_a_connection_and_refusals_are_the_servers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let server = Fake::unix(&path);
    // Megabytes take their time where others compute, too.
    let config = RemoteConfig { deadline_ms: 20_000, ..config(&[format!("unix:{}", path.display())]) };
    let fleet = Fleet::new(&config, Arc::new(SystemClock::default())).unwrap();
    for _ in 0..100 {
        assert_eq!(ask(&fleet, b"data").unwrap(), "unix");
    }
    assert_eq!(ask(&fleet, b"refuse").unwrap_err().kind(), ErrorKind::Denied);
    let large = vec![7; 3 << 20];
    assert_eq!(ask(&fleet, &large).unwrap(), "unix", "more than any window goes through");
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
    assert_eq!(server.calls.load(Ordering::SeqCst), 102);
}

#[test]
fn a_connection_that_was_closed_while_idle_is_replaced_without_a_failure() {
    let server = Fake::tcp("one");
    let proxy = Proxy::to(server.address.unwrap());
    let fleet = fleet(&[proxy.uri()]);
    for _ in 0..5 {
        assert_eq!(ask(&fleet, b"data").unwrap(), "one");
        proxy.cut();
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(server.calls.load(Ordering::SeqCst), 5, "no call was made twice");
}

#[test]
fn a_server_that_starts_again_meanwhile_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let server = Fake::unix(&path);
    let fleet = fleet(&[format!("unix:{}", path.display())]);
    assert!(ask(&fleet, b"data").is_ok());
    drop(server);
    let again = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(200));
        Fake::unix(&path)
    });
    assert_eq!(ask(&fleet, b"data").unwrap(), "unix");
    drop(again.join().unwrap());
}

#[test]
fn a_server_that_is_gone_is_named_within_the_deadline_and_then_at_once() {
    let fleet = fleet(&["unix:/nonexistent/kmssd".to_owned()]);
    let (result, took) = timed(|| ask(&fleet, b"data"));
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BackendUnavailable);
    assert!(error.message().contains("`test` at unix:/nonexistent/kmssd"), "{error}");
    assert!(error.message().contains("No such file"), "{error}");
    assert!(took < DEADLINE * 2, "{took:?}");
    let quickest = (0..20).map(|_| timed(|| ask(&fleet, b"data").unwrap_err()).1).min().unwrap();
    assert!(quickest < DEADLINE / 4, "whoever is known to be gone is not waited for: {quickest:?}");
}

#[test]
fn a_silent_network_costs_one_deadline_and_the_next_call_another_connection() {
    let server = Fake::tcp("one");
    let proxy = Proxy::to(server.address.unwrap());
    let fleet = fleet(&[proxy.uri()]);
    assert!(ask(&fleet, b"data").is_ok());
    proxy.silent.store(true, Ordering::SeqCst);
    let (result, took) = timed(|| ask(&fleet, b"data"));
    assert_eq!(result.unwrap_err().kind(), ErrorKind::BackendUnavailable);
    assert!(took >= DEADLINE && took < DEADLINE * 2, "{took:?}");
    proxy.silent.store(false, Ordering::SeqCst);
    assert_eq!(ask(&fleet, b"data").unwrap(), "one");
    assert!(server.connections.load(Ordering::SeqCst) >= 2, "the one that kept silent is not used again");
}

#[test]
fn a_slow_network_is_slow_and_nothing_else() {
    let server = Fake::tcp("one");
    let proxy = Proxy::to(server.address.unwrap());
    let fleet = fleet(&[proxy.uri()]);
    proxy.delay.store(50, Ordering::SeqCst);
    let (result, took) = timed(|| ask(&fleet, b"data"));
    assert_eq!(result.unwrap(), "one");
    assert!(took >= Duration::from_millis(100), "{took:?}");
}

#[test]
fn a_server_that_keeps_silent_leaves_time_for_the_next_one() {
    let (first, second) = (Fake::tcp("first"), Fake::tcp("second"));
    let proxy = Proxy::to(first.address.unwrap());
    let fleet = fleet(&[proxy.uri(), second.uri()]);
    assert_eq!(ask(&fleet, b"data").unwrap(), "first");
    proxy.silent.store(true, Ordering::SeqCst);
    let (result, took) = timed(|| ask(&fleet, b"data"));
    assert_eq!(result.unwrap(), "second");
    assert!(took < DEADLINE, "{took:?}");
    let (result, took) = timed(|| ask(&fleet, b"data"));
    assert_eq!(result.unwrap(), "second");
    assert!(took < DEADLINE / 4, "the silent one is left alone: {took:?}");
}

#[test]
fn of_two_servers_under_load_one_is_killed_and_no_call_fails() {
    let (first, second) = (Fake::tcp("first"), Fake::tcp("second"));
    let config = RemoteConfig { routing: Routing::Balanced, ..config(&[first.uri(), second.uri()]) };
    let fleet = Fleet::new(&config, Arc::new(SystemClock::default())).unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|s| {
        let call = || {
            let mut failed = 0;
            while !stop.load(Ordering::SeqCst) {
                failed += u32::from(ask(&fleet, b"data").is_err());
            }
            failed
        };
        let callers: Vec<_> = (0..4).map(|_| s.spawn(call)).collect();
        let wait_for = |server: &Fake, calls| {
            while server.calls.load(Ordering::SeqCst) < calls {
                std::thread::sleep(Duration::from_millis(1));
            }
        };
        wait_for(&first, 1);
        wait_for(&second, 1);
        drop(first);
        wait_for(&second, second.calls.load(Ordering::SeqCst) + 250);
        stop.store(true, Ordering::SeqCst);
        let failed: u32 = callers.into_iter().map(|caller| caller.join().unwrap()).sum();
        assert_eq!(failed, 0);
    });
}
