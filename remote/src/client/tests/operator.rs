//! A server that breaks off, and what an operator is told: never that nothing was done where that is not known.

use std::ops::ControlFlow;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::server::{Fake, Mood, Proxy};
use crate::client::{Access, Client, ClientError};
use crate::proto;

const UNKNOWN: &str = "whether it was done is not known";

fn client(servers: &[&Fake]) -> Client {
    let uris = servers.iter().map(|server| server.uri()).collect();
    patient(uris, Duration::from_secs(60))
}

fn patient(uris: Vec<String>, patience: Duration) -> Client {
    Client::new(&Access { uris, patience, ..Access::default() }).unwrap()
}

fn calls(server: &Fake) -> u32 {
    server.calls.load(Ordering::SeqCst)
}

/// A change that makes no object.
fn change() -> proto::CreateBlockRequest {
    proto::CreateBlockRequest::default()
}

fn making() -> proto::GenerateKeyRequest {
    proto::GenerateKeyRequest::default()
}

fn look() -> proto::GetServerInfoRequest {
    proto::GetServerInfoRequest {}
}

fn rewrap(client: &Client) -> Result<(), ClientError> {
    client.listen(&proto::RewrapDomainRequest::default(), |_| ControlFlow::Continue(()))
}

fn read(client: &Client) -> Result<u32, ClientError> {
    let mut parts = 0;
    client.listen(&proto::ReadAuditRequest::default(), |_| {
        parts += 1;
        ControlFlow::Continue(())
    })?;
    Ok(parts)
}

#[test]
fn a_change_is_asked_for_once_where_the_connection_breaks() {
    let (first, second) = (Fake::tcp("first").that(Mood::Breaks), Fake::tcp("second"));
    let told = client(&[&first, &second]).ask(change()).err().unwrap().to_string();
    assert!(told.contains(&first.uri()) && told.contains(UNKNOWN), "{told}");
    assert_eq!((calls(&first), calls(&second)), (1, 0), "neither the same nor another server does it again");
    assert!(client(&[&first, &second]).ask(change()).is_ok());
}

#[test]
fn what_makes_objects_and_what_only_looks_is_asked_for_again() {
    for ask in [|client: &Client| client.ask(making()).is_ok(), |client: &Client| client.ask(look()).is_ok()] {
        let (first, second) = (Fake::tcp("first").that(Mood::Dies), Fake::tcp("second"));
        assert!(ask(&client(&[&first, &second])));
        assert_eq!((calls(&first), calls(&second)), (1, 1));
        let alone = Fake::tcp("alone").that(Mood::Breaks);
        assert!(ask(&client(&[&alone])));
        assert_eq!(calls(&alone), 2);
    }
}

#[test]
fn doubt_outlives_the_tries_that_follow() {
    let server = Fake::tcp("one").that(Mood::Dies);
    let told = client(&[&server]).ask(making()).err().unwrap().to_string();
    assert!(told.contains("it cannot be reached") && told.contains(UNKNOWN), "{told}");
    let (first, second) = (Fake::tcp("first").that(Mood::Dies), Fake::tcp("second").that(Mood::Refuses));
    let told = client(&[&first, &second]).ask(making()).err().unwrap().to_string();
    assert!(told.contains("the server says") && told.contains(UNKNOWN), "{told}");
}

#[test]
fn where_nothing_can_have_been_done_there_is_no_doubt() {
    let server = Fake::tcp("one").that(Mood::Dies);
    let told = client(&[&server]).ask(look()).err().unwrap().to_string();
    assert!(told.contains("does not serve") && !told.contains(UNKNOWN), "{told}");
    let told = client(&[&server]).ask(change()).err().unwrap().to_string();
    assert!(told.contains("it cannot be reached") && !told.contains(UNKNOWN), "{told}");
    let server = Fake::tcp("one").that(Mood::Refuses);
    for told in [client(&[&server]).ask(change()).err().unwrap(), rewrap(&client(&[&server])).unwrap_err()] {
        let told = told.to_string();
        assert!(told.contains("the server says") && !told.contains(UNKNOWN), "{told}");
    }
}

#[test]
fn a_stream_that_changes_something_is_begun_once() {
    let (first, second) = (Fake::tcp("first").that(Mood::Breaks), Fake::tcp("second"));
    let told = rewrap(&client(&[&first, &second])).unwrap_err().to_string();
    assert!(told.contains(UNKNOWN), "{told}");
    assert_eq!((calls(&first), calls(&second)), (1, 0));
    let reader = Fake::tcp("reader").that(Mood::Dies);
    assert_eq!(read(&client(&[&reader, &second])).unwrap(), 1, "what only reads is begun again");
    let told = read(&client(&[&reader])).unwrap_err().to_string();
    assert!(!told.contains(UNKNOWN), "{told}");
}

#[test]
fn a_stream_may_take_longer_than_any_of_its_messages() {
    let server = Fake::tcp("slow").that(Mood::Drips(300));
    let client = patient(vec![server.uri()], Duration::from_secs(3));
    let (parts, took) = super::timed(|| read(&client));
    assert_eq!(parts.unwrap(), 12);
    assert!(took > Duration::from_secs(3), "{took:?}");
}

#[test]
fn a_stream_that_falls_silent_is_given_up_unless_there_may_be_nothing_to_say() {
    let server = Fake::tcp("slow").that(Mood::Drips(4000));
    let hasty = patient(vec![server.uri()], Duration::from_millis(1500));
    let told = read(&hasty).unwrap_err().to_string();
    assert!(told.contains("no answer came") && !told.contains(UNKNOWN), "{told}");
    let told = rewrap(&hasty).unwrap_err().to_string();
    assert!(told.contains("no answer came") && told.contains(UNKNOWN), "{told}");
    assert!(hasty.listen(&proto::FollowAuditRequest::default(), |_| ControlFlow::Break(())).is_ok());
}

#[test]
fn a_network_that_falls_silent_in_the_middle_ends_a_stream() {
    let server = Fake::tcp("slow").that(Mood::Drips(100));
    let proxy = Proxy::to(server.address.unwrap());
    let client = patient(vec![proxy.uri()], Duration::from_secs(3));
    let told = client.listen(&proto::ReadAuditRequest::default(), |_| {
        proxy.silent.store(true, Ordering::SeqCst);
        ControlFlow::Continue(())
    });
    assert!(told.unwrap_err().to_string().contains("no answer came"));
}
