//! `kmss audit anchor`: checkpoints go to a file, an HTTP endpoint, a witness and a time-stamping authority.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use audit_proof::path::check_consistency;
use audit_proof::{Algorithm, Checkpoint, Hash, Note, NoteSignature, TreeHash, VerifierKey};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use kmss_tests::built;
use kmss_tests::home::Home;

const TOKEN: &str = "main";

/// An HTTP server of one thread: what it is posted goes to `answer`, which gives status, and body. Returns its URL.
fn serve(mut answer: impl FnMut(&str, &[u8]) -> (u16, Vec<u8>) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = exchange(stream.unwrap(), &mut answer);
        }
    });
    url
}

fn exchange(
    stream: TcpStream,
    answer: &mut impl FnMut(&str, &[u8]) -> (u16, Vec<u8>),
) -> Result<(), Box<dyn std::error::Error>> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut path, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let lower = line.to_ascii_lowercase();
        if let Some(rest) = line.strip_prefix("POST ") {
            path = rest.split(' ').next().unwrap_or_default().to_owned();
        } else if let Some(rest) = lower.strip_prefix("content-length:") {
            length = rest.trim().parse()?;
        } else if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let (status, body) = answer(&path, &body);
    let mut stream = stream;
    write!(stream, "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len())?;
    stream.write_all(&body)?;
    Ok(())
}

fn home() -> Home {
    let home = Home::with_token(TOKEN);
    home.generate(TOKEN, "web", "ec:p256", "01");
    home
}

fn configure(home: &Home, anchors: &str) {
    let path = home.path().join("kmss.toml");
    fs::write(&path, anchors).unwrap();
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
}

#[test]
fn a_file_on_other_storage_has_every_checkpoint_and_binds_the_log() {
    if built::only_kmss("audit anchor") {
        return;
    }
    let home = home();
    home.kmss("audit anchor").fail().mentions("[[audit.anchor]]");
    let far = home.file("far");
    configure(&home, &format!("[[audit.anchor]]\nname = \"far\"\ntype = \"file\"\npath = \"{}\"\n", far.display()));
    home.kmss("audit seal").succeed();
    let first = fs::read_to_string(&far).unwrap();
    assert_eq!(audit_proof::note::split_notes(&first).count(), 1);
    // It is not yet time for the next, unless somebody says so.
    home.generate(TOKEN, "other", "ec:p256", "02");
    home.kmss("audit seal").succeed();
    assert_eq!(fs::read_to_string(&far).unwrap(), first);
    home.kmss("audit anchor").succeed().mentions("far");
    let all = fs::read_to_string(&far).unwrap();
    assert_eq!(audit_proof::note::split_notes(&all).count(), 2);
    home.kmss(&format!("audit verify --anchor {}", far.display())).succeed().mentions("agrees");
    // One that cannot be told is named, and what was sealed is sealed.
    configure(&home, "[[audit.anchor]]\nname = \"gone\"\ntype = \"file\"\npath = \"/nowhere/at/all\"\n");
    let said = home.kmss("audit seal --heartbeat").run();
    assert_eq!(said.code(), Some(4), "{said}");
    assert!(said.all().contains("`gone`"), "{said}");
    assert_eq!(home.kmss("audit anchor").run().code(), Some(1));
}

#[test]
fn an_http_endpoint_is_posted_the_checkpoint() {
    if built::only_kmss("audit anchor") {
        return;
    }
    let home = home();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (to, mut status) = (Arc::clone(&seen), 503);
    let url = serve(move |path, body| {
        to.lock().unwrap().push((path.to_owned(), String::from_utf8(body.to_vec()).unwrap()));
        (std::mem::replace(&mut status, 204), Vec::new())
    });
    configure(&home, &format!("[[audit.anchor]]\nname = \"web\"\ntype = \"http\"\nurl = \"{url}/keep?secret=1\"\n"));
    let said = home.kmss("audit seal").run();
    assert_eq!(said.code(), Some(4), "{said}");
    assert!(said.all().contains("503") && !said.all().contains("secret"), "{said}");
    // What failed is tried the next time.
    home.kmss("audit seal").succeed();
    let checkpoint = home.kmss("audit checkpoint").succeed().text();
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[1], ("/keep?secret=1".to_owned(), checkpoint));
}

/// A witness as C2SP tlog-witness describes it.
struct Witness {
    key: Ed25519KeyPair,
    log: VerifierKey,
    latest: (u64, Hash),
}

impl Witness {
    const NAME: &str = "witness.example/w1";

    fn public(&self) -> VerifierKey {
        VerifierKey::new(Self::NAME, Algorithm::Cosignature, self.key.public_key().as_ref()).unwrap()
    }

    fn answer(&mut self, path: &str, body: &[u8]) -> (u16, Vec<u8>) {
        assert_eq!(path, "/add-checkpoint");
        let text = std::str::from_utf8(body).unwrap();
        let (head, note) = text.split_once("\n\n").unwrap();
        let mut lines = head.lines();
        let old: u64 = lines.next().unwrap().strip_prefix("old ").unwrap().parse().unwrap();
        let proof: Vec<Hash> = lines.map(|line| Hash::from_base64(line).unwrap()).collect();
        let note = Note::parse(note).unwrap();
        let checkpoint = Checkpoint::parse(note.text()).unwrap();
        if note.signed_by(&[&self.log]).is_err() {
            return (403, Vec::new());
        }
        if old != self.latest.0 {
            return (409, format!("{}\n", self.latest.0).into_bytes());
        }
        let (before, after) = ((old, &self.latest.1), (checkpoint.size, &checkpoint.root));
        if check_consistency(TreeHash::Sha256, before, after, &proof).is_err() {
            return (422, Vec::new());
        }
        self.latest = (checkpoint.size, checkpoint.root);
        let time = 1_760_000_000_u64;
        let message = format!("cosignature/v1\ntime {time}\n{}", note.text());
        let signature = [&time.to_be_bytes(), self.key.sign(message.as_bytes()).as_ref()].concat();
        let line = NoteSignature { name: Self::NAME.to_owned(), id: self.public().id(), signature }.line();
        (200, line.into_bytes())
    }
}

#[test]
fn a_witness_signs_what_continues_and_tells_of_what_does_not() {
    if built::only_kmss("audit anchor") {
        return;
    }
    let home = home();
    home.kmss("audit seal").succeed();
    let log = home.kmss("audit key --witness").succeed().text().trim().parse().unwrap();
    let key = Ed25519KeyPair::from_seed_unchecked(&[5; 32]).unwrap();
    let witness = Arc::new(Mutex::new(Witness { key, log, latest: (0, TreeHash::Sha256.empty()) }));
    let asked = Arc::clone(&witness);
    let url = serve(move |path, body| asked.lock().unwrap().answer(path, body));
    let public = witness.lock().unwrap().public();
    configure(
        &home,
        &format!("[[audit.anchor]]\nname = \"w1\"\ntype = \"witness\"\nurl = \"{url}/\"\nkey = \"{public}\"\n"),
    );
    for (words, name) in [("audit seal", "a"), ("audit seal --new-epoch", "b"), ("audit seal", "c")] {
        home.generate(TOKEN, name, "ec:p256", "02");
        home.kmss(words).succeed();
        home.kmss("audit anchor").succeed().mentions("w1");
        let size = witness.lock().unwrap().latest.0;
        let receipt = home.path().join(format!("audit/log/receipt/w1/{size:020}.checkpoint"));
        let note = Note::parse(&fs::read_to_string(&receipt).unwrap()).unwrap();
        assert_eq!(note.signed_by(&[&public]).unwrap(), [0]);
        home.kmss(&format!("audit verify --anchor {}", receipt.display())).succeed().mentions("agrees");
    }
    // Somebody told the witness of what is not there, or of something else.
    let honest = witness.lock().unwrap().latest;
    witness.lock().unwrap().latest = (honest.0 + 1000, honest.1);
    home.kmss("audit anchor").fail().mentions("set back");
    witness.lock().unwrap().latest = (honest.0, Hash([7; 32]));
    home.generate(TOKEN, "d", "ec:p256", "03");
    home.kmss("audit seal").succeed();
    home.kmss("audit anchor").fail().mentions("another history");
    // A witness with another key signs nothing that counts.
    let mut other = witness.lock().unwrap();
    other.latest = honest;
    other.key = Ed25519KeyPair::from_seed_unchecked(&[6; 32]).unwrap();
    drop(other);
    home.kmss("audit anchor").fail().mentions("no key that is known signed it");
}

const AUTHORITY: &str = "\
[req]
distinguished_name = name
prompt = no
x509_extensions = tsa
[name]
CN = time
[tsa]
keyUsage = critical, digitalSignature
extendedKeyUsage = critical, timeStamping
[tsa1]
serial = serial
default_policy = 1.2.3.4.1
digests = sha256
signer_digest = sha256
ordering = no
tsa_name = no
ess_cert_id_alg = sha256
";

fn openssl(folder: &Path, words: &str) {
    let said = Command::new("openssl").args(words.split(' ')).current_dir(folder).output().unwrap();
    assert!(said.status.success(), "openssl {words}: {}", String::from_utf8_lossy(&said.stderr));
}

#[test]
fn a_time_stamping_authority_signs_when_a_checkpoint_was_there() {
    if built::only_kmss("audit anchor") {
        return;
    }
    let home = home();
    let folder = home.file("tsa");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("tsa.cnf"), AUTHORITY).unwrap();
    fs::write(folder.join("serial"), "01").unwrap();
    openssl(
        &folder,
        "req -new -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -config tsa.cnf -keyout tsa.key -out tsa.pem -days 2",
    );
    let at = folder.clone();
    let url = serve(move |_, body| {
        fs::write(at.join("request"), body).unwrap();
        openssl(
            &at,
            "ts -reply -config tsa.cnf -section tsa1 -queryfile request -signer tsa.pem -inkey tsa.key -out answer",
        );
        (200, fs::read(at.join("answer")).unwrap())
    });
    configure(&home, &format!("[[audit.anchor]]\nname = \"tsa\"\ntype = \"timestamp\"\nurl = \"{url}/\"\n"));
    home.kmss("audit seal").succeed();
    let receipts = home.path().join("audit/log/receipt/tsa");
    let mut names: Vec<String> =
        fs::read_dir(&receipts).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let [checkpoint, token] = names.try_into().unwrap();
    assert!(checkpoint.ends_with(".checkpoint") && token.ends_with(".tsr"));
    let (checkpoint, token) = (receipts.join(checkpoint), receipts.join(token));
    let words = format!("ts -verify -data {} -in {} -CAfile tsa.pem", checkpoint.display(), token.display());
    openssl(&folder, &words);
    home.kmss(&format!("audit verify --anchor {}", checkpoint.display())).succeed().mentions("agrees");
}
