//! HSMs behind the server that do not answer.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use kmss_tests::built;
use kmss_tests::members::{Member, world};
use kmss_tests::module::Module;
use remote::proto;
use tonic::{Code, Status};

use crate::kit::{Client, Kmssd, named, sign};

/// How long something may take that ends by itself.
const LONG: Duration = Duration::from_secs(120);

/// A signature in `pay`.
fn pay(client: &Client, object: &proto::Object) -> Result<Vec<u8>, Status> {
    let mut request = sign(object, b"message", &[]);
    if let Some(key) = &mut request.key {
        key.namespace = "pay".into();
    }
    client.wait(client.crypto().sign(request)).map(|signed| signed.into_inner().signature)
}

/// The value of a metric of the HSM.
fn metric(server: &Kmssd, name: &str) -> u32 {
    metric_of(server, "vault", name)
}

/// The value of a metric of an HSM.
fn metric_of(server: &Kmssd, hsm: &str, name: &str) -> u32 {
    let start = format!("kmssd_{name}{{hsm=\"{hsm}\"}} ");
    let text = server.metrics();
    text.lines().find_map(|line| line.strip_prefix(&start)).map_or(0, |value| value.parse().unwrap())
}

#[test]
fn an_hsm_that_hangs_costs_its_callers_a_deadline_and_nobody_else_anything() {
    if built::only_kmss("HSMs behind it") {
        return;
    }
    let module = Module::softhsm().faulty();
    let server = Kmssd::with_hsm(&module, "max_sessions = 8\ndeadline_ms = 2000\n");
    let client = server.client();
    let (kept, soft) = (client.pair_in("pay", "kept"), client.pair("soft"));
    assert!(pay(&client, &kept).is_ok());
    let (stop, failed, slowest, done) =
        (AtomicBool::new(false), AtomicU32::new(0), AtomicU32::new(0), AtomicU32::new(0));
    std::thread::scope(|scope| {
        let busy = || {
            let client = server.client();
            while !stop.load(Ordering::Relaxed) {
                let began = Instant::now();
                // The one is done where it comes in, the other crosses to the threads that block.
                let signed = client.wait(client.crypto().sign(sign(&soft, b"message", &[])));
                let draw = proto::GenerateRandomRequest { namespace: "web".into(), len: 65_536 };
                let drawn = client.wait(client.random().generate_random(draw));
                failed.fetch_add(u32::from(signed.is_err()) + u32::from(drawn.is_err()), Ordering::Relaxed);
                slowest.fetch_max(u32::try_from(began.elapsed().as_millis()).unwrap(), Ordering::Relaxed);
                done.fetch_add(1, Ordering::Relaxed);
            }
        };
        (0..2).for_each(|_| drop(scope.spawn(busy)));
        module.command("C_Sign stall");
        // More of them than the server has threads for what blocks.
        let callers: Vec<_> = (0..24)
            .map(|_| {
                scope.spawn(|| {
                    let client = server.client();
                    let began = Instant::now();
                    let error = pay(&client, &kept).unwrap_err();
                    (error, began.elapsed())
                })
            })
            .collect();
        let before = done.load(Ordering::Relaxed);
        for caller in callers {
            let (error, took) = caller.join().unwrap();
            assert_eq!(error.code(), Code::Unavailable, "{error:?}");
            assert!(error.message().contains("`vault`"), "{error:?}");
            eprintln!("a caller waited {} ms: {}", took.as_millis(), error.message());
        }
        assert!(done.load(Ordering::Relaxed) > before);
        assert!(metric(&server, "hsm_calls_hanging") >= 1, "{}", server.metrics());
        // From now on nobody waits, but whoever tries whether it is back.
        let began = Instant::now();
        for _ in 0..200 {
            assert_eq!(pay(&client, &kept).unwrap_err().code(), Code::Unavailable);
        }
        eprintln!("200 more calls took {} ms", began.elapsed().as_millis());
        assert!(began.elapsed() < Duration::from_secs(100));
        assert!(metric(&server, "hsm_calls_hanging") <= 8);
        module.command("");
        let began = Instant::now();
        while pay(&client, &kept).is_err() {
            assert!(began.elapsed() < LONG, "{}", server.running.as_ref().unwrap().said());
            std::thread::sleep(Duration::from_millis(20));
        }
        eprintln!("used again after {} ms", began.elapsed().as_millis());
        while metric(&server, "hsm_calls_hanging") > 0 {
            assert!(began.elapsed() < LONG);
            std::thread::sleep(Duration::from_millis(20));
        }
        stop.store(true, Ordering::Relaxed);
    });
    eprintln!("{done:?} rounds of the software token, the slowest {slowest:?} ms");
    assert_eq!(failed.load(Ordering::Relaxed), 0);
    // Nobody else waited as long as the HSM's callers did.
    assert!(slowest.load(Ordering::Relaxed) < 2000);
    assert!(metric(&server, "hsm_calls_abandoned_total") >= 1, "{}", server.metrics());
    // What came back late was released to nobody, and is recorded as what it was to its caller.
    // All of them: thousands are of those who were not held up.
    let records = server.home.audit(1_000_000);
    let of = |outcome: &str| {
        let signed = |record: &&serde_json::Value| {
            record["action"] == "sign" && record["namespace"] == "pay" && record["outcome"] == outcome
        };
        records.iter().filter(signed).collect::<Vec<_>>()
    };
    let hung = of("failed");
    assert!(hung.len() >= 24, "{hung:?}");
    let reason = |record: &&&serde_json::Value| record["reason"].as_str().unwrap().contains("does not answer");
    let given_up = hung.iter().filter(reason).count();
    assert_eq!(u32::try_from(given_up).unwrap(), metric(&server, "hsm_calls_abandoned_total"));
    assert_eq!(of("success").len(), 2);
    server.home.audit_is_whole();
}

#[test]
fn an_hsm_that_seals_a_token_and_hangs_holds_up_no_other_token() {
    if built::only_kmss("HSMs behind it") {
        return;
    }
    let module = Module::softhsm().faulty();
    // One thread takes all calls: whoever waits on it for the HSM, stops everything.
    let mut server = Kmssd::sealed_by(&module, "deadline_ms = 4000\n", "workers = 1\nblocking = 1\n");
    let (kept, soft) = {
        let client = server.client();
        (client.pair_in("pay", "kept"), client.pair("soft"))
    };
    // Started anew, it has to ask the HSM before it uses the key.
    drop(server.running.take());
    server.run();
    module.command("C_Decrypt stall");
    let slowest = |until: &dyn Fn() -> bool| {
        let client = server.client();
        let (mut slowest, mut rounds) = (Duration::ZERO, 0);
        while rounds < 20 || !until() {
            let began = Instant::now();
            client.wait(client.crypto().sign(sign(&soft, b"message", &[]))).unwrap();
            let draw = proto::GenerateRandomRequest { namespace: "web".into(), len: 65_536 };
            client.wait(client.random().generate_random(draw)).unwrap();
            (slowest, rounds) = (slowest.max(began.elapsed()), rounds + 1);
        }
        slowest
    };
    std::thread::scope(|scope| {
        let asks = scope.spawn(|| {
            let began = Instant::now();
            (pay(&server.client(), &kept).unwrap_err(), began.elapsed())
        });
        let slowest = slowest(&|| asks.is_finished());
        let (error, waited) = asks.join().unwrap();
        assert_eq!(error.code(), Code::Unavailable, "{error:?}");
        eprintln!("who asked for the sealed key waited {waited:?}, nobody else longer than {slowest:?}");
        assert!(waited > Duration::from_secs(3) && slowest < Duration::from_secs(3));
    });
    module.command("");
    let began = Instant::now();
    let client = server.client();
    while pay(&client, &kept).is_err() {
        assert!(began.elapsed() < LONG, "{}", server.running.as_ref().unwrap().said());
        std::thread::sleep(Duration::from_millis(20));
    }
    // The key is open now: nobody asks the HSM.
    module.command("C_Decrypt stall");
    assert!(pay(&client, &kept).is_ok());
    server.home.audit_is_whole();
}

#[test]
fn a_server_whose_hsm_hangs_for_good_says_so_and_stops_all_the_same() {
    if built::only_kmss("HSMs behind it") {
        return;
    }
    let module = Module::softhsm().faulty();
    let mut server = Kmssd::with_hsm(&module, "max_sessions = 2\ndeadline_ms = 1000\n");
    let client = server.client();
    let kept = client.pair_in("pay", "kept");
    module.command("* stall");
    let began = Instant::now();
    let last = loop {
        let error = std::thread::scope(|scope| {
            let both = [0; 2].map(|_| scope.spawn(|| pay(&server.client(), &kept).unwrap_err()));
            both.map(|one| one.join().unwrap()).into_iter().next().unwrap()
        });
        if error.message().contains("all 2 threads") || began.elapsed() > LONG {
            break error;
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    assert!(last.message().contains("the server is restarted"), "{last:?}");
    assert_eq!(metric(&server, "hsm_calls_hanging"), 2);
    assert!(client.pair("soft").id.len() == 16);
    drop(client);
    let mut running = server.running.take().unwrap();
    let began = Instant::now();
    running.signal(libc::SIGTERM);
    let ended = running.wait_end();
    assert!(ended.success(), "{}", running.said());
    assert!(running.said().contains("\"drained\":true"), "{}", running.said());
    assert!(running.said().contains("every thread of the HSM hangs"), "{}", running.said());
    eprintln!("stopped after {} ms", began.elapsed().as_millis());
    assert!(began.elapsed() < LONG);
}

#[test]
fn a_member_of_a_group_that_hangs_is_given_up_for_the_next_one() {
    if built::only_kmss("HSMs behind it") {
        return;
    }
    let members = [Member::new(), Member::new()];
    let mut rules = String::new();
    for (name, member) in ["a", "b"].into_iter().zip(&members) {
        rules += &format!(
            "[[hsm]]\nname = {name:?}\nmodule = {:?}\ntoken = {:?}\npin = {{ file = {:?} }}\ndeadline_ms = 20000\n",
            member.file("libfaulty_module.so"),
            member.label,
            member.file("pin"),
        );
    }
    let variables = [("SOFTHSM2_CONF".into(), world().folder.path().join("softhsm2.conf").into())];
    rules += "[[hsm_group]]\nname = \"both\"\nmembers = [\"a\", \"b\"]\ndeadline_ms = 4000\n";
    let server = Kmssd::with_rules(&rules, "both", &variables);
    let client = server.client();
    let kept = client.pair_in("pay", "kept");
    members[0].command("C_Sign stall");
    // Whoever is in the first member has its answer of the second, and all others at once.
    for _ in 0..20 {
        pay(&client, &kept).unwrap_or_else(|e| panic!("{e}: {}", server.running.as_ref().unwrap().said()));
    }
    assert!(metric_of(&server, "a", "hsm_calls_hanging") >= 1, "{}", server.metrics());
    assert_eq!(metric_of(&server, "b", "hsm_calls_abandoned_total"), 0, "{}", server.metrics());
    members[0].revive();
    let began = Instant::now();
    while metric_of(&server, "a", "hsm_calls_hanging") > 0 {
        assert!(began.elapsed() < LONG, "{}", server.metrics());
        std::thread::sleep(Duration::from_millis(20));
    }
    pay(&client, &kept).unwrap();
    server.home.audit_is_whole();
}

#[test]
fn calls_that_name_their_key_inside_or_by_name_wait_for_its_hsm_and_hold_up_nobody() {
    if built::only_kmss("HSMs behind it") {
        return;
    }
    let module = Module::softhsm().faulty();
    // One thread does what blocks: whoever waits on it for the HSM, stops everybody.
    let mut server = Kmssd::sealed_by(&module, "deadline_ms = 4000\n", "blocking = 1\n");
    let (ciphertext, soft) = {
        let client = server.client();
        let secret = proto::SecretSpec { key_type: proto::KeyType::Aes.into(), len: 32 };
        let request = |label: &str| proto::GenerateKeyRequest {
            namespace: "pay".into(),
            spec: Some(proto::KeySpec { kind: Some(proto::key_spec::Kind::Secret(secret)) }),
            draft: Some(named(label)),
            request_id: Vec::new(),
        };
        let [first, _] = ["first", "second"]
            .map(|label| client.wait(client.keys().generate_key(request(label))).unwrap().into_inner().key.unwrap());
        let encrypt = proto::EncryptMessageRequest {
            key: Some(proto::KeyRef { namespace: "pay".into(), id: first.id.clone(), version: 0 }),
            plaintext: b"message".to_vec(),
            ..proto::EncryptMessageRequest::default()
        };
        let encrypted = client.wait(client.crypto().encrypt_message(encrypt)).unwrap().into_inner();
        (encrypted.ciphertext, client.pair("soft"))
    };
    let decrypt = |client: &Client| {
        let request = proto::DecryptMessageRequest {
            namespace: "pay".into(),
            ciphertext: ciphertext.clone(),
            ..proto::DecryptMessageRequest::default()
        };
        client.wait(client.crypto().decrypt_message(in_time(request))).map(drop)
    };
    let rotate = |client: &Client| {
        let request = proto::RotateKeyRequest {
            namespace: "pay".into(),
            name: "second".into(),
            ..proto::RotateKeyRequest::default()
        };
        client.wait(client.lifecycle().rotate_key(in_time(request))).map(drop)
    };
    type Ask<'a> = &'a (dyn Fn(&Client) -> Result<(), Status> + Sync);
    for ask in [&decrypt as Ask<'_>, &rotate] {
        // Started anew, it has to ask the HSM before it uses the key.
        drop(server.running.take());
        server.run();
        module.command("* stall");
        std::thread::scope(|scope| {
            let server = &server;
            let asked = scope.spawn(move || ask(&server.client()).unwrap_err());
            let (client, mut slowest) = (server.client(), Duration::ZERO);
            while !asked.is_finished() {
                let began = Instant::now();
                client.wait(client.crypto().sign(sign(&soft, b"message", &[]))).unwrap();
                let draw = proto::GenerateRandomRequest { namespace: "web".into(), len: 65_536 };
                client.wait(client.random().generate_random(draw)).unwrap();
                slowest = slowest.max(began.elapsed());
            }
            eprintln!("{:?}; nobody else waited longer than {slowest:?}", asked.join().unwrap());
            assert!(slowest < Duration::from_secs(3));
        });
        module.command("");
    }
    server.home.audit_is_whole();
}

/// With a deadline that is longer than the HSM's.
fn in_time<T>(request: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(request);
    request.set_timeout(Duration::from_secs(10));
    request
}
