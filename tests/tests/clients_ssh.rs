//! OpenSSH: ssh-keygen, ssh and ssh-agent with keys in the token, against an sshd on the loopback.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use kmss_tests::built;
use kmss_tests::home::{Home, PIN};
use kmss_tests::program::{Program, Running, free_port, listens, needs};

const TOKEN: &str = "ssh";
const SSHD: &str = "/usr/sbin/sshd";

/// A home with keys of the types that ssh takes, and their public keys as `ssh-keygen -D` prints them.
fn home() -> (Home, Vec<String>) {
    needs(&["ssh", "ssh-keygen", "ssh-agent", "ssh-add", "sshd"]);
    let home = Home::with_token(TOKEN);
    home.generate(TOKEN, "rsa1", "rsa:2048", "01");
    home.generate(TOKEN, "ec1", "ec:p256", "02");
    home.generate(TOKEN, "ec2", "ec:p384", "03");
    // What answers ssh's question for the PIN.
    fs::write(home.file("ask"), format!("#!/bin/sh\necho {PIN}\n")).unwrap();
    fs::set_permissions(home.file("ask"), fs::Permissions::from_mode(0o755)).unwrap();
    let keys = public_keys(&home);
    (home, keys)
}

fn public_keys(home: &Home) -> Vec<String> {
    let said = home.program("ssh-keygen").arg("-D").arg(built::module()).succeed();
    said.text().lines().map(str::to_owned).collect()
}

fn with_pin(home: &Home, program: &str) -> Program {
    let program = home.program(program).env("SSH_ASKPASS", home.file("ask"));
    program.env("SSH_ASKPASS_REQUIRE", "force").env("SSH_AUTH_SOCK", home.file("agent"))
}

/// An sshd for the user that runs the tests.
struct Sshd {
    port: u16,
    running: Running,
}

impl Sshd {
    /// `None`, said aloud, where the user may not run one.
    fn start(home: &Home) -> Option<Self> {
        if !built::is_root() {
            built::skipped("sshd lets nobody in unless root runs it");
            return None;
        }
        // Where it puts itself away from the network before a client has proved who it is.
        fs::create_dir_all("/run/sshd").unwrap();
        let port = free_port();
        home.program("ssh-keygen").words("-q -t ed25519 -N").args(["", "-f", "host"]).succeed();
        let folder = home.folder().display();
        let text = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized\n\
             PidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
             PermitRootLogin yes\n"
        );
        fs::write(home.file("sshd_config"), text).unwrap();
        let mut running = Program::new(SSHD).words("-D -e -f").arg(home.file("sshd_config")).keep_running();
        running.wait_until("listening", || listens(port));
        Some(Self { port, running })
    }

    /// A command over ssh; `how` says where the key comes from.
    fn run(&self, home: &Home, how: &[&str], command: &str) -> Program {
        let ssh = with_pin(home, "ssh").words("-F none -o StrictHostKeyChecking=no -o BatchMode=no");
        let ssh = ssh.arg("-o").arg(format!("UserKnownHostsFile={}", home.file("known").display()));
        ssh.arg("-p").arg(self.port.to_string()).args(how).arg("127.0.0.1").arg(command)
    }
}

/// The module as an agent on the socket `agent` takes it, and the agent.
fn agent(home: &Home) -> (PathBuf, Running) {
    // It loads only modules under folders that it was given.
    let module = fs::canonicalize(built::module()).unwrap();
    let folder = format!("{}/*", module.parent().unwrap().display());
    let agent = with_pin(home, "ssh-agent").words("-D -a").arg(home.file("agent")).args(["-P", &folder]);
    (module, agent.keep_running())
}

#[test]
fn ssh_keygen_lists_the_public_keys_without_a_login() {
    let (_home, keys) = home();
    assert_eq!(keys.len(), 3, "{keys:?}");
    for kind in ["ssh-rsa ", "ecdsa-sha2-nistp256 ", "ecdsa-sha2-nistp384 "] {
        assert!(keys.iter().any(|key| key.starts_with(kind)), "no {kind}in {keys:?}");
    }
}

#[test]
fn ssh_comes_in_with_each_key() {
    let (home, keys) = home();
    let Some(sshd) = Sshd::start(&home) else { return };
    let module = built::module();
    for key in &keys {
        fs::write(home.file("authorized"), format!("{key}\n")).unwrap();
        let said = sshd.run(&home, &["-o", "IdentityAgent=none", "-I", text(&module)], "echo let in").run();
        assert!(said.success() && said.text() == "let in\n", "{key}: {said}\n{}", sshd.running.said());
    }
    // Another key is not let in, whatever it says.
    let stranger = home.program("ssh-keygen").words("-q -t ed25519 -f stranger -N").arg("");
    stranger.succeed();
    fs::copy(home.file("stranger.pub"), home.file("authorized")).unwrap();
    sshd.run(&home, &["-o", "IdentityAgent=none", "-I", text(&module)], "true").fail();
    if !built::stand_in() {
        home.audit_is_whole();
    }
}

#[test]
fn the_agent_holds_the_token_until_it_is_taken_away() {
    let (home, keys) = home();
    let Some(sshd) = Sshd::start(&home) else { return };
    fs::write(home.file("authorized"), keys.join("\n")).unwrap();
    let (module, mut agent) = agent(&home);
    agent.wait_until("its socket", || home.file("agent").exists());
    with_pin(&home, "ssh-add").arg("-s").arg(&module).succeed().mentions("Card added");
    let list = with_pin(&home, "ssh-add").arg("-L").succeed();
    assert_eq!(list.text().lines().count(), keys.len(), "{list}");
    for _ in 0..3 {
        sshd.run(&home, &[], "echo by the agent").succeed().mentions("by the agent");
    }
    with_pin(&home, "ssh-add").arg("-e").arg(&module).succeed().mentions("Card removed");
    sshd.run(&home, &[], "true").fail();
    // And again: the agent's helper process is a new one.
    with_pin(&home, "ssh-add").arg("-s").arg(&module).succeed();
    sshd.run(&home, &[], "echo once more").succeed().mentions("once more");
}

#[test]
fn the_agent_offers_the_one_key_of_many_that_is_asked_for() {
    let (home, _) = home();
    let Some(sshd) = Sshd::start(&home) else { return };
    for n in 4..=9 {
        home.generate(TOKEN, &format!("more{n}"), "ec:p256", &format!("0{n}"));
    }
    let keys = public_keys(&home);
    assert_eq!(keys.len(), 9, "{keys:?}");
    let wanted = keys.iter().find(|key| key.ends_with("more9")).expect("keys are named by their labels");
    fs::write(home.file("authorized"), format!("{wanted}\n")).unwrap();
    fs::write(home.file("wanted.pub"), format!("{wanted}\n")).unwrap();
    let (module, mut agent) = agent(&home);
    agent.wait_until("its socket", || home.file("agent").exists());
    with_pin(&home, "ssh-add").arg("-s").arg(&module).succeed();
    // Left alone, ssh offers one key after the other, and sshd hangs up after six.
    let only = home.file("wanted.pub");
    let said = sshd.run(&home, &["-o", "IdentitiesOnly=yes", "-i", text(&only)], "echo the ninth").run();
    assert!(said.success(), "{said}\n{}", sshd.running.said());
}

#[test]
fn ssh_takes_the_certificate_authority_from_the_token() {
    let (home, keys) = home();
    let Some(sshd) = Sshd::start(&home) else { return };
    // A user certificate, signed by the EC key of the token; sshd believes the authority, not the key.
    let authority = keys.iter().find(|key| key.starts_with("ecdsa-sha2-nistp256 ")).unwrap();
    fs::write(home.file("ca.pub"), format!("{authority}\n")).unwrap();
    home.program("ssh-keygen").words("-q -t ed25519 -f user -N").arg("").succeed();
    let user = Program::new("id").arg("-un").succeed().text();
    let sign = with_pin(&home, "ssh-keygen").arg("-D").arg(built::module()).words("-s ca.pub -I tested -n");
    sign.arg(user.trim()).words("-V -5m:+1h user.pub").succeed().mentions("Signed user key");
    fs::write(home.file("authorized"), format!("cert-authority {authority}\n")).unwrap();
    let identity = home.file("user");
    let said = sshd.run(&home, &["-o", "IdentityAgent=none", "-i", text(&identity)], "echo certified").run();
    assert!(said.success(), "{said}\n{}", sshd.running.said());
}

fn text(path: &Path) -> &str {
    path.to_str().expect("paths of the tests are text")
}
