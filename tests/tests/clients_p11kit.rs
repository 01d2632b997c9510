//! p11-kit: the proxy that gathers modules, and the module of another process over a socket.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use kmss_tests::built;
use kmss_tests::home::{Home, PIN};
use kmss_tests::program::{Program, needs, needs_file};

const TOKEN: &str = "kit";
const PROXY: &str = "/usr/lib/x86_64-linux-gnu/p11-kit-proxy.so";
const CLIENT: &str = "/usr/lib/x86_64-linux-gnu/pkcs11/p11-kit-client.so";
/// Debian's `nobody`: p11-kit reads no user's configuration for root.
const NOBODY: u32 = 65534;

/// pkcs11-tool with another module than ours in front.
fn pkcs11_tool(home: &Home, module: &str, words: &str) -> Program {
    let tool = home.program("pkcs11-tool").args(["--module", module, "--token-label", TOKEN, "--login", "--pin", PIN]);
    tool.words(words)
}

/// The public key of EC, written by the command: pkcs11-tool 0.23.0 of Debian reads memory that it freed when it writes one.
const EC: &str = "ec.der";

/// Makes an RSA and an EC key.
fn two_keys(home: &Home) {
    home.generate(TOKEN, "rsa1", "rsa:2048", "01");
    home.generate(TOKEN, "ec1", "ec:p256", "02");
    if !built::stand_in() {
        let export = home.kmss(&format!("key export-public ec1 --token {TOKEN} --format der --out"));
        export.arg(home.file(EC)).succeed();
    }
}

/// Signs with the EC and the RSA key through `tool`, and lets openssl judge.
fn signs(home: &Home, tool: &dyn Fn(&str) -> Program) {
    fs::write(home.file("msg"), "signed far away").unwrap();
    let openssl = |line: &str| Program::new("openssl").within(home.folder()).words(line).succeed();
    openssl("dgst -sha256 -binary -out digest msg");
    for (id, mechanism, input) in [("01", "SHA256-RSA-PKCS", "msg"), ("02", "ECDSA", "digest")] {
        let sign = tool("--sign --signature-format openssl --output-file sig");
        sign.args(["--id", id, "--mechanism", mechanism, "--input-file", input]).succeed();
        let public = if id == "02" && !built::stand_in() { EC } else { "pub.der" };
        if public != EC {
            tool("--read-object --type pubkey --output-file pub.der --id").arg(id).succeed();
        }
        openssl(&format!("dgst -sha256 -verify {public} -keyform DER -signature sig msg"));
    }
}

#[test]
fn the_server_lends_the_token_to_other_processes() {
    needs(&["p11-kit", "pkcs11-tool"]);
    needs_file(CLIENT);
    let home = Home::with_token(TOKEN);
    two_keys(&home);
    let socket = home.file("p11.sock");
    let server = home.program("p11-kit").words("server --foreground --provider").arg(built::module());
    let mut server = server.arg("--name").arg(&socket).arg("pkcs11:").keep_running();
    server.wait_until("its socket", || socket.exists());
    let address = format!("unix:path={}", socket.display());
    // The client needs the server's address and nothing else: no home, no configuration.
    let tool = |words: &str| {
        let tool = pkcs11_tool(&home, CLIENT, words).env("KMSS_HOME", "/nonexistent");
        tool.env("P11_KIT_SERVER_ADDRESS", &address)
    };
    signs(&home, &tool);
    tool("--keypairgen --key-type rsa:2048 --id 03 --label far").succeed();
    home.pkcs11_tool(TOKEN, "--list-objects --type privkey").succeed().mentions("far");
    tool("--delete-object --type privkey --id 03").succeed();
    // Several at once: the server forks one process for each.
    std::thread::scope(|scope| {
        for n in 0..4 {
            let (tool, home) = (&tool, &home);
            scope.spawn(move || {
                fs::write(home.file(&format!("d{n}")), [7; 32]).unwrap();
                let sign = tool("--sign --mechanism ECDSA --id 02");
                sign.arg("--input-file").arg(format!("d{n}")).arg("--output-file").arg(format!("s{n}")).succeed();
                assert_eq!(fs::read(home.file(&format!("s{n}"))).unwrap().len(), 64);
            });
        }
    });
    drop(server);
    if !built::stand_in() {
        home.audit_is_whole();
    }
}

/// A home of `nobody`'s, with a copy of the module that this user can reach.
fn nobodys(home: &Home) -> PathBuf {
    let module = home.file("libkmss_pkcs11.so");
    fs::copy(built::module(), &module).unwrap();
    fs::set_permissions(&module, fs::Permissions::from_mode(0o755)).unwrap();
    let modules = home.file(".config/pkcs11/modules");
    fs::create_dir_all(&modules).unwrap();
    let text = format!("module: {}\nenable-in: p11-kit, pkcs11-tool, p11tool\n", module.display());
    fs::write(modules.join("kmss.module"), text).unwrap();
    module
}

#[test]
fn the_proxy_and_gnutls_find_the_configured_module() {
    if built::only_kmss("place in a user's configuration") {
        return;
    }
    if !built::is_root() {
        built::skipped("the test becomes another user, which takes root");
        return;
    }
    needs(&["p11-kit", "pkcs11-tool", "p11tool"]);
    needs_file(PROXY);
    let home = Home::with_token(TOKEN);
    two_keys(&home);
    nobodys(&home);
    give(home.folder());
    let as_nobody = |program: Program| program.env("HOME", home.folder()).as_user(NOBODY, NOBODY);
    let list = as_nobody(home.program("p11-kit").arg("list-modules")).succeed();
    assert!(list.text().contains("library-description: KMSS virtual HSM"), "{list}");
    assert!(list.text().contains(&format!("token: {TOKEN}")), "{list}");
    signs(&home, &|words| as_nobody(pkcs11_tool(&home, PROXY, words)));
    // Programs of GnuTLS load what p11-kit lists, with no option at all.
    let p11tool = home.program("p11tool").env("GNUTLS_PIN", PIN);
    let p11tool = p11tool.words("--login --test-sign").arg(format!("pkcs11:token={TOKEN};object=ec1;type=private"));
    as_nobody(p11tool).succeed().mentions("... ok");
}

/// Gives a folder and all that is in it to `nobody`.
fn give(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            give(&entry.path());
        } else if entry.file_name() != "libkmss_pkcs11.so" {
            chown(entry.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
    }
    chown(folder, Some(NOBODY), Some(NOBODY)).unwrap();
}
