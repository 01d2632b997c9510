//! Debian packages: which ones demo, test and bench use, and how missing ones are installed.

use crate::error::Error;
use crate::process::Job;
use crate::project::Project;
use std::collections::HashSet;
use std::io::IsTerminal;
use std::os::unix::fs::MetadataExt;

/// One need, and the packages that meet it; the first is what we install.
pub(crate) type Need = &'static [&'static str];

const SOFTHSM: Need = &["softhsm2"];
const NSS: Need = &["libnss3"];
const NSS_TOOLS: Need = &["libnss3-tools"];
const OPENSC: Need = &["opensc"];
const NGINX: Need = &["nginx-light", "nginx", "nginx-core", "nginx-full", "nginx-extras"];
const ENGINE: Need = &["libengine-pkcs11-openssl"];
const OPENSSL: Need = &["openssl"];
const CURL: Need = &["curl"];
const CERTIFICATES: Need = &["ca-certificates"];
const GNUTLS: Need = &["gnutls-bin"];
const BINUTILS: Need = &["binutils"];
const PKG_CONFIG: Need = &["pkg-config", "pkgconf"];
const SSH: Need = &["openssh-client"];
const SSHD: Need = &["openssh-server"];
const P11_KIT: Need = &["p11-kit"];
const P11_KIT_CLIENT: Need = &["p11-kit-modules"];
// The program and its modules, without the service.
const APACHE: Need = &["apache2-bin"];
const GO: Need = &["golang-go"];
const GO_PKCS11: Need = &["golang-github-miekg-pkcs11-dev"];
const GO_CRYPTO11: Need = &["golang-github-thalesignite-crypto11-dev"];
const PYTHON_VENV: Need = &["python3-venv"];
const NODE: Need = &["nodejs"];
const NPM: Need = &["npm"];
// npm compiles the addon.
const CXX: Need = &["g++"];
const MAKE: Need = &["make"];
// Runs C programs against the C interface.
const VALGRIND: Need = &["valgrind"];
// Compiles policies in C.
const CLANG: Need = &["clang", "clang-14", "clang-16", "clang-19"];
// Receive what the audit's agent sends.
const RSYSLOG: Need = &["rsyslog"];
const RSYSLOG_TLS: Need = &["rsyslog-gnutls"];
// The journal, which the agent writes to, and what checks the agent's unit.
const SYSTEMD: Need = &["systemd"];
// Kryoptic is compiled against these.
const SSL_HEADERS: Need = &["libssl-dev"];
const SQLITE_HEADERS: Need = &["libsqlite3-dev"];
const LIBCLANG: Need = &["libclang-dev", "libclang-14-dev", "libclang-16-dev", "libclang-19-dev"];
const JAVA: Need = &["default-jdk-headless", "openjdk-17-jdk-headless", "openjdk-21-jdk-headless"];

/// What the demo drives.
pub(crate) const DEMO: &[Need] = &[NGINX, ENGINE, OPENSSL, CURL, CERTIFICATES, OPENSC, JAVA];
/// What the benchmark compares with.
pub(crate) const BENCH: &[Need] = &[SOFTHSM, NSS, NSS_TOOLS];
/// What makes a token for a module without a tool of its own.
pub(crate) const TOKEN_MAKER: &[Need] = &[OPENSC];
/// Everything, which is also what the tests drive.
pub(crate) const ALL: &[Need] = &[
    SOFTHSM,
    OPENSC,
    NGINX,
    ENGINE,
    OPENSSL,
    CURL,
    CERTIFICATES,
    GNUTLS,
    BINUTILS,
    PKG_CONFIG,
    SSH,
    SSHD,
    NSS,
    NSS_TOOLS,
    P11_KIT,
    P11_KIT_CLIENT,
    APACHE,
    GO,
    GO_PKCS11,
    GO_CRYPTO11,
    PYTHON_VENV,
    NODE,
    NPM,
    CXX,
    MAKE,
    VALGRIND,
    CLANG,
    RSYSLOG,
    RSYSLOG_TLS,
    SYSTEMD,
    SSL_HEADERS,
    SQLITE_HEADERS,
    LIBCLANG,
    JAVA,
];

/// Installs with the services kept from starting: Debian's nginx would take port 80 otherwise. An
/// administrator's own policy-rc.d is left as it is.
const INSTALL: &str = r#"
set -eu
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    trap 'exit 130' INT TERM HUP
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi
export DEBIAN_FRONTEND=noninteractive
install() {
    apt-get install --yes --quiet --no-install-recommends -o Dpkg::Use-Pty=0 "$@"
}
if ! install "$@"; then
    echo 'trying once more with fresh package lists' >&2
    apt-get update --quiet
    install "$@"
fi
"#;

/// Installs what is missing of `needs`; quick when nothing is.
pub(crate) fn install(project: &Project, needs: &[Need]) -> Result<(), Error> {
    let missing = missing(project, needs)?;
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(" ");
    let Some(privileged) = privileged(project) else {
        return Err(Error::Packages { packages: names });
    };
    eprintln!("installing Debian packages: {names}");
    privileged("/bin/sh", project).args(["-c", INSTALL, "install"]).args(&missing).limit_seconds(1800).show()?;
    let still = self::missing(project, needs)?;
    if still.is_empty() { Ok(()) } else { Err(Error::Packages { packages: still.join(" ") }) }
}

/// The needs that no installed package meets, as the package to install for each.
fn missing(project: &Project, needs: &[Need]) -> Result<Vec<&'static str>, Error> {
    let names = needs.iter().flat_map(|need| need.iter());
    let query =
        project.job("dpkg-query").args(["--show", "--showformat", "${db:Status-Abbrev} ${Package}\n"]).args(names);
    // It fails when any one of the names is unknown, and still prints the others.
    let installed = query.attempt()?.stdout;
    let mut unmet = unmet(needs, &installed);
    // Node.js's own packages bring npm, and conflict with Debian's.
    if unmet.contains(&"npm")
        && project.job("npm").arg("--version").attempt().is_ok_and(|output| output.status.success())
    {
        unmet.retain(|name| *name != "npm");
    }
    Ok(unmet)
}

/// `installed` is a list of lines such as `ii  curl`.
fn unmet(needs: &[Need], installed: &str) -> Vec<&'static str> {
    let installed: HashSet<&str> =
        installed.lines().filter_map(|line| line.strip_prefix("ii")).map(str::trim).collect();
    let unmet = needs.iter().filter(|need| !need.iter().any(|name| installed.contains(name)));
    unmet.filter_map(|need| need.first().copied()).collect()
}

type Privileged = fn(&str, &Project) -> Job;

/// How to run a program as root, if there is a way.
fn privileged(project: &Project) -> Option<Privileged> {
    if is_root() {
        return Some(|program, project| project.job(program));
    }
    let may_ask = std::io::stdin().is_terminal();
    let sudo = project.job("sudo").arg(if may_ask { "--validate" } else { "--non-interactive" });
    let sudo = if may_ask { sudo.interactive() } else { sudo.arg("true") };
    // `show` and not `run`: sudo asks for the password on the terminal.
    sudo.show().ok()?;
    Some(|program, project| project.job("sudo").args(["--non-interactive", program]).interactive())
}

/// Whether we are root (the owner of our own entry in /proc is our effective user).
pub(crate) fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|entry| entry.uid() == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_that_is_not_wholly_installed_is_missing() {
        assert_eq!(unmet(&[CURL, OPENSC], "ii  curl\nrc  opensc\n"), ["opensc"]);
    }

    #[test]
    fn any_of_the_alternatives_meets_a_need() {
        assert!(unmet(&[JAVA, NGINX], "ii  openjdk-17-jdk-headless\nii  nginx-full\n").is_empty());
        assert_eq!(unmet(&[JAVA], "un  default-jdk-headless\n"), ["default-jdk-headless"]);
    }
}
