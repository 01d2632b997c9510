//! Callers that share connections: nobody waits for another one's answer, deadline or trouble.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use libkmss::clock::SystemClock;
use libkmss::config::RemoteConfig;
use libkmss::error::ErrorKind;

use super::super::address::{Address, Names};
use super::super::connection::{Place, Trouble};
use super::super::fleet::Fleet;
use super::super::pool::Pool;
use super::super::tls::{TlsFiles, TlsSource};
use super::server::{Fake, Proxy};
use super::{ask, config, timed};
use crate::proto;
use crate::proto::crypto_service_client::CryptoServiceClient;

/// Long enough for any machine.
const PATIENT: u32 = 60_000;

fn shared(uri: String, connections: u32, deadline_ms: u32) -> Fleet {
    let config = RemoteConfig { connections, deadline_ms, ..config(&[uri]) };
    Fleet::new(&config, Arc::new(SystemClock::default())).unwrap()
}

/// Waits for what happens in another thread.
fn until(happened: impl Fn() -> bool) {
    while !happened() {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// How many of `each` calls of `callers` threads fail.
fn failures(fleet: &Fleet, callers: u32, each: u32) -> usize {
    std::thread::scope(|s| {
        let one = || (0..each).filter(|_| ask(fleet, b"data").is_err()).count();
        let callers: Vec<_> = (0..callers).map(|_| s.spawn(one)).collect();
        callers.into_iter().map(|caller| caller.join().unwrap()).sum()
    })
}

#[test]
fn many_callers_share_one_connection() {
    let server = Fake::tcp("one");
    let fleet = shared(server.uri(), 1, PATIENT);
    assert_eq!(failures(&fleet, 64, 50), 0);
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
    assert_eq!(server.calls.load(Ordering::SeqCst), 64 * 50, "no call was made twice");
}

#[test]
fn there_are_as_many_connections_as_there_is_work_for_and_no_more_than_may_be() {
    let server = Fake::tcp("one");
    let fleet = shared(server.uri(), 2, PATIENT);
    assert_eq!(failures(&fleet, 1, 50), 0);
    assert_eq!(failures(&fleet, 4, 50), 0);
    assert_eq!(server.connections.load(Ordering::SeqCst), 1, "few callers need no second one");
    std::thread::scope(|s| {
        let waiting: Vec<_> = (0..80).map(|_| s.spawn(|| ask(&fleet, b"wait"))).collect();
        until(|| server.calls.load(Ordering::SeqCst) == 250 + 80);
        server.open.store(true, Ordering::SeqCst);
        assert!(waiting.into_iter().all(|caller| caller.join().unwrap().is_ok()));
    });
    assert_eq!(server.connections.load(Ordering::SeqCst), 2);
}

#[test]
fn a_slow_call_holds_up_nobody_on_its_connection() {
    let server = Fake::tcp("one");
    let fleet = shared(server.uri(), 1, PATIENT);
    std::thread::scope(|s| {
        let slow: Vec<_> = (0..3).map(|_| s.spawn(|| ask(&fleet, b"wait"))).collect();
        until(|| server.calls.load(Ordering::SeqCst) == 3);
        assert_eq!(failures(&fleet, 8, 50), 0);
        assert!(slow.iter().all(|caller| !caller.is_finished()));
        server.open.store(true, Ordering::SeqCst);
        assert!(slow.into_iter().all(|caller| caller.join().unwrap().is_ok()));
    });
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
}

#[test]
fn a_call_that_is_given_up_harms_no_other_on_its_connection() {
    let server = Fake::tcp("one");
    let fleet = shared(server.uri(), 1, 1_000);
    let stop = AtomicBool::new(false);
    std::thread::scope(|s| {
        let others: Vec<_> = (0..4)
            .map(|_| {
                s.spawn(|| {
                    let mut failed = 0;
                    while !stop.load(Ordering::SeqCst) {
                        failed += u32::from(ask(&fleet, b"data").is_err());
                    }
                    failed
                })
            })
            .collect();
        let (result, took) = timed(|| ask(&fleet, b"wait"));
        assert_eq!(result.unwrap_err().kind(), ErrorKind::BackendUnavailable);
        assert!(took >= Duration::from_millis(1_000), "{took:?}");
        assert!(ask(&fleet, b"data").is_ok(), "the address is not left alone: it answers");
        stop.store(true, Ordering::SeqCst);
        assert_eq!(others.into_iter().map(|caller| caller.join().unwrap()).sum::<u32>(), 0);
    });
    assert_eq!(server.connections.load(Ordering::SeqCst), 1, "the connection is as good as it was");
}

#[test]
fn a_connection_that_breaks_under_many_callers_costs_none_of_them_its_call() {
    let server = Fake::tcp("one");
    let proxy = Proxy::to(server.address.unwrap());
    let fleet = shared(proxy.uri(), 4, PATIENT);
    let done = AtomicU32::new(0);
    std::thread::scope(|s| {
        let callers: Vec<_> = (0..64)
            .map(|_| {
                s.spawn(|| {
                    let failed = (0..40).filter(|_| ask(&fleet, b"data").is_err()).count();
                    done.fetch_add(1, Ordering::SeqCst);
                    failed
                })
            })
            .collect();
        while done.load(Ordering::SeqCst) < 64 {
            std::thread::sleep(Duration::from_millis(30));
            proxy.cut();
        }
        assert_eq!(callers.into_iter().map(|caller| caller.join().unwrap()).sum::<usize>(), 0);
    });
}

#[test]
fn callers_whose_connection_breaks_together_are_one_trouble() {
    let server = Fake::tcp("one");
    let proxy = Proxy::to(server.address.unwrap());
    let fleet = shared(proxy.uri(), 1, PATIENT);
    std::thread::scope(|s| {
        let waiting: Vec<_> = (0..32).map(|_| s.spawn(|| ask(&fleet, b"wait"))).collect();
        until(|| server.calls.load(Ordering::SeqCst) == 32);
        proxy.cut();
        // All ask again, over one new connection, and nobody was kept from it for seconds.
        let ((), took) = timed(|| until(|| server.calls.load(Ordering::SeqCst) == 64));
        assert!(took < Duration::from_secs(4), "{took:?}");
        server.open.store(true, Ordering::SeqCst);
        assert!(waiting.into_iter().all(|caller| caller.join().unwrap().is_ok()));
    });
    assert_eq!(server.connections.load(Ordering::SeqCst), 2);
}

#[test]
fn whoever_waits_for_anothers_connection_hears_why_there_is_none() {
    let fleet = shared("unix:/nonexistent/kmssd".to_owned(), 4, 300);
    std::thread::scope(|s| {
        let callers: Vec<_> = (0..16).map(|_| s.spawn(|| ask(&fleet, b"data").unwrap_err())).collect();
        let errors: Vec<_> = callers.into_iter().map(|caller| caller.join().unwrap()).collect();
        assert!(errors.iter().all(|error| error.kind() == ErrorKind::BackendUnavailable));
        assert!(errors.iter().any(|error| error.message().contains("No such file")), "{errors:?}");
    });
}

/// A pool of at most four connections.
fn pool(uri: &str) -> Pool {
    let tls = Arc::new(TlsSource::new(TlsFiles { ca: None, certificate: None, key: None }));
    let (names, clock) = (Names::new(), Arc::new(SystemClock::default()));
    Pool::new(Place { address: Address::parse(uri).unwrap(), names, tls, clock }, 4)
}

/// One call, as it ends.
fn once(pool: &Pool, data: &[u8]) -> Result<(), Trouble> {
    let until = pool.place().clock.monotonic() + Duration::from_secs(60);
    let request = proto::SignRequest { data: data.to_vec(), ..proto::SignRequest::default() };
    let ask = |channel: super::super::channel::Channel| async move {
        let origin = channel.origin();
        CryptoServiceClient::with_origin(channel, origin).sign(request).await
    };
    pool.call((until, &Cell::new(until)), ask).map(drop)
}

#[test]
fn of_many_who_come_after_a_while_nobody_gets_a_connection_that_was_closed() {
    let server = Fake::tcp("one");
    let proxy = Proxy::to(server.address.unwrap());
    let pool = pool(&proxy.uri());
    for round in 1..=20 {
        server.open.store(false, Ordering::SeqCst);
        let before = server.calls.load(Ordering::SeqCst);
        std::thread::scope(|s| {
            (0..64).for_each(|_| drop(s.spawn(|| once(&pool, b"wait").unwrap())));
            until(|| server.calls.load(Ordering::SeqCst) == before + 64);
            server.open.store(true, Ordering::SeqCst);
        });
        proxy.cut();
        std::thread::sleep(Duration::from_millis(20));
        let barrier = Barrier::new(64);
        std::thread::scope(|s| {
            let call = || {
                barrier.wait();
                once(&pool, b"data")
            };
            let callers: Vec<_> = (0..64).map(|_| s.spawn(call)).collect();
            for caller in callers {
                let called = caller.join().unwrap();
                assert!(called.is_ok(), "round {round}: {called:?}");
            }
        });
    }
}

#[test]
fn where_no_more_connections_are_taken_calls_go_over_those_there_are_and_few_more_are_tried() {
    let server = Fake::tcp("one");
    server.room.connections.store(1, Ordering::SeqCst);
    let fleet = shared(server.uri(), 4, PATIENT);
    assert!(ask(&fleet, b"data").is_ok());
    std::thread::scope(|s| {
        let waiting: Vec<_> = (0..64).map(|_| s.spawn(|| ask(&fleet, b"wait"))).collect();
        until(|| server.calls.load(Ordering::SeqCst) == 65);
        assert_eq!(failures(&fleet, 8, 200), 0);
        server.open.store(true, Ordering::SeqCst);
        assert!(waiting.into_iter().all(|caller| caller.join().unwrap().is_ok()));
    });
    let turned_away = server.room.turned_away.load(Ordering::SeqCst);
    // A second between the first two, then two, four, and so on.
    assert!((1..8).contains(&turned_away), "{turned_away}");
    assert_eq!(server.calls.load(Ordering::SeqCst), 65 + 1600, "no call was made twice");
}

#[test]
fn whoever_gets_no_connection_at_all_hears_which_limit_that_is() {
    let server = Fake::tcp("one");
    server.room.connections.store(1, Ordering::SeqCst);
    let (first, second) = (pool(&server.uri()), pool(&server.uri()));
    once(&first, b"data").unwrap();
    for _ in 0..2 {
        match once(&second, b"data") {
            Err(Trouble::Unreachable { why, again: false }) => assert!(why.contains("max_peer_connections"), "{why}"),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(server.calls.load(Ordering::SeqCst), 1);
}

#[test]
fn whoever_the_server_has_no_time_for_asks_again_in_turn_and_not_all_the_time() {
    let server = Fake::tcp("one");
    server.room.calls.store(4, Ordering::SeqCst);
    let fleet = shared(server.uri(), 4, PATIENT);
    let (callers, each) = (64, 20);
    std::thread::scope(|s| {
        let one = || (0..each).for_each(|_| drop(ask(&fleet, b"work").unwrap()));
        (0..callers).for_each(|_| drop(s.spawn(one)));
    });
    let refused = server.room.refused.load(Ordering::SeqCst);
    assert!(refused > 0 && refused < 3 * callers * each, "{refused} refusals of {} calls", callers * each);
}

#[test]
fn a_call_that_the_server_has_time_for_waits_for_nobody_else_for_long() {
    let server = Fake::tcp("one");
    server.room.calls.store(1, Ordering::SeqCst);
    let fleet = shared(server.uri(), 4, PATIENT);
    std::thread::scope(|s| {
        let waiting: Vec<_> = (0..8).map(|_| s.spawn(|| ask(&fleet, b"wait"))).collect();
        until(|| server.room.refused.load(Ordering::SeqCst) > 16);
        assert_eq!(failures(&fleet, 4, 5), 0);
        assert!(waiting.iter().all(|caller| !caller.is_finished()));
        server.open.store(true, Ordering::SeqCst);
        assert!(waiting.into_iter().all(|caller| caller.join().unwrap().is_ok()));
    });
}
