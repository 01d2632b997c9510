//! What a key costs that lives elsewhere: in SoftHSM2 behind KMSS beside SoftHSM2 alone, and on kmssd beside a bare tonic echo over
//! the same wire.

use super::report::Verdicts;
use super::{LABEL, PIN, SO_PIN, SOFTHSM};
use crate::error::Error;
use crate::process::{Job, Service};
use crate::project::{Products, Project, create_folder, write};
use serde::Deserialize;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

/// The HSM's name, and the label of its token.
const VAULT: &str = "vault";
/// Callers of a busy host.
const MANY: &str = "64";
/// Connections of TLS that the mark is about.
const CONNECTIONS: &str = "4";
/// What a call of kmssd may take longer than an echo, in microseconds.
const MORE_US: f64 = 60.0;
/// How much of what echo and signature leave possible is to be reached.
const SHARE: f64 = 0.85;
/// Calls a second while a server is killed.
const STEADY: &str = "1000";
/// How long a server may take to listen.
const START: Duration = Duration::from_millis(1500);
/// An application's deadline for a call, in microseconds.
const DEADLINE_US: f64 = 2e6;

/// Why a key elsewhere may be too slow.
const AROUND: &str = "each call is decided and recorded here, and on a server once more";

/// What `wirebench` printed.
#[derive(Clone, Deserialize)]
struct Figures {
    calls: u64,
    failed: u64,
    failure: Option<String>,
    per_second: f64,
    p50_us: f64,
    slowest_us: f64,
}

/// One line of the report.
struct Line {
    words: String,
    reached: bool,
    measured: String,
    /// Why it is missed where it is.
    why: &'static str,
}

/// What was measured.
pub(super) struct Backends(Vec<Line>);

/// Everything that the measurements share.
struct Bench<'a> {
    project: &'a Project,
    products: &'a Products,
    tool: PathBuf,
    folder: PathBuf,
    seconds: String,
    rounds: u32,
}

impl Backends {
    /// Builds `wirebench`, sets up an HSM and a server, measures.
    pub(super) fn measure(
        project: &Project,
        products: &Products,
        scratch: &TempDir,
        (seconds, rounds): (&str, &str),
    ) -> Result<Self, Error> {
        let folder = scratch.path().join("backends");
        create_folder(&folder)?;
        // The middle of few short runs says little where two processes share two processors.
        let (seconds, rounds) = (seconds.parse::<f64>().unwrap_or(1.0).max(1.0), rounds.parse().unwrap_or(3));
        let bench = Bench { project, products, tool: build(project)?, folder, seconds: seconds.to_string(), rounds };
        let mut lines = bench.hsm()?;
        lines.extend(bench.server()?);
        Ok(Self(lines))
    }

    /// Figures for the tests of the report.
    #[cfg(test)]
    pub(super) fn example() -> Self {
        let (words, measured) = ("RSA-2048 through KMSS".to_owned(), "0.5".to_owned());
        Self(vec![Line { words, reached: false, measured, why: AROUND }])
    }

    /// The section of the report.
    pub(super) fn markdown(&self) -> String {
        let text = String::from(
            "\n## Keys elsewhere\n\nThe same key of SoftHSM2, through KMSS and by SoftHSM2's own module; and a key of kmssd, through KMSS's module, beside a \
             bare\ntonic server and client that echo 64 bytes over the same kind of wire. Both sides in turns, medians over the rounds; client \
             and server share\nthe machine. What is possible is 1 / (1 / echoes a second + time of a signature), with as many callers.\n\n",
        );
        let mut verdicts = Verdicts::default();
        for Line { words, reached, measured, why } in &self.0 {
            verdicts.add(words, *reached, measured, why);
        }
        text + &verdicts.markdown()
    }
}

/// `wirebench` is a workspace of its own: what it needs of tonic reaches no product.
fn build(project: &Project) -> Result<PathBuf, Error> {
    let target = project.target.join("wirebench");
    let job = project.cargo().args(["build", "--release", "--locked", "--manifest-path"]);
    job.arg(project.root.join("tests/wirebench/Cargo.toml")).arg("--target-dir").arg(&target).show()?;
    Ok(target.join("release/wirebench"))
}

/// The figure in the middle.
fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of.get(of.len() / 2).copied().unwrap_or_default()
}

impl Bench<'_> {
    fn kmss(&self, home: &Path, words: &str) -> Result<(), Error> {
        let job = self.at(self.project.job(&self.products.command), home);
        job.args(words.split(' ')).run().map(drop)
    }

    /// A program that finds a home and the HSM.
    fn at(&self, job: Job, home: &Path) -> Job {
        job.env("KMSS_HOME", home)
            .env("KMSS_PIN", PIN)
            .env("KMSS_SO_PIN", SO_PIN)
            .env("SOFTHSM2_CONF", self.hsm_config())
    }

    fn hsm_config(&self) -> PathBuf {
        self.folder.join("softhsm2.conf")
    }

    fn run(&self, job: Job) -> Result<Figures, Error> {
        let output = job.run()?;
        let figures: Figures = serde_json::from_str(&output.stdout)
            .map_err(|source| Error::Json { what: "the figures of wirebench", source })?;
        match &figures.failure {
            Some(failure) => Err(Error::check(format!("{} calls failed, the first: {failure}", figures.failed))),
            None => Ok(figures),
        }
    }

    /// Signatures in the token `token` of a module, as the arguments `how` say.
    fn sign(&self, home: &Path, module: &Path, token: &str, how: &str) -> Result<Figures, Error> {
        let job = self.at(self.project.job(&self.tool), home).arg("sign").arg("--module").arg(module);
        self.run(job.args(["--token", token, "--pin", PIN, "--seconds", &self.seconds]).args(how.split(' ')))
    }

    /// As many times as there are rounds.
    fn rounds<T>(&self, each: impl Fn() -> Result<T, Error>) -> Result<Vec<T>, Error> {
        (0..self.rounds).map(|_| each()).collect()
    }

    fn hsm(&self) -> Result<Vec<Line>, Error> {
        let (home, tokens) = (self.folder.join("governed"), self.folder.join("tokens"));
        create_folder(&tokens)?;
        write(&self.hsm_config(), &format!("directories.tokendir = {}\nlog.level = ERROR\n", tokens.display()))?;
        let init = self.project.job("softhsm2-util").env("SOFTHSM2_CONF", self.hsm_config());
        init.args(["--init-token", "--free", "--label", VAULT, "--so-pin", SO_PIN, "--pin", PIN]).run()?;
        self.kmss(&home, "home init")?;
        let config = format!(
            "[[hsm]]\nname = \"{VAULT}\"\nmodule = \"{SOFTHSM}\"\ntoken = \"{VAULT}\"\npin = {{ env = \"KMSS_PIN\" }}\n"
        );
        write(&home.join("kmss.toml"), &config)?;
        self.kmss(&home, &format!("token init {LABEL} --backend {VAULT}"))?;
        let mut lines = Vec::new();
        for (key, kind, how, words) in [("rsa1", "rsa:2048", "rsa", "RSA-2048"), ("ec1", "ec:p256", "ecdsa", "P-256")] {
            self.kmss(&home, &format!("key generate {key} --token {LABEL} --type {kind}"))?;
            for (search, goal, detail) in [("", 0.9, ""), (" --search", 1.0, ", searching for the key each time")] {
                let how = format!("--key {key} --how {how}{search}");
                let ratios = self.rounds(|| {
                    let ours = self.sign(&home, &self.products.module, LABEL, &how)?;
                    let theirs = self.sign(&home, SOFTHSM.as_ref(), VAULT, &how)?;
                    Ok((ours.per_second / theirs.per_second, ours.per_second, theirs.per_second))
                })?;
                let of = |which: fn(&(f64, f64, f64)) -> f64| median(ratios.iter().map(which).collect());
                let ratio = of(|round| round.0);
                lines.push(Line {
                    words: format!("{words} in an HSM {goal:.1} × calling it directly{detail}"),
                    reached: ratio >= goal,
                    measured: format!(
                        "{ratio:.2} × ({:.0}/s, directly {:.0}/s)",
                        of(|round| round.1),
                        of(|round| round.2)
                    ),
                    why: AROUND,
                });
            }
        }
        Ok(lines)
    }

    fn server(&self) -> Result<Vec<Line>, Error> {
        let home = self.folder.join("served");
        let (port, echo_port) = (free_port()?, free_port()?);
        self.certificates()?;
        self.kmss(&home, "home init")?;
        self.kmss(&home, &format!("token init {LABEL}"))?;
        self.kmss(&home, &format!("key generate ec1 --token {LABEL} --type ec:p256"))?;
        let folder = self.folder.display();
        let settings = |socket: &str, more: &str| {
            format!(
                "home = \"{}\"\n[server]\nunix = \"{folder}/{socket}\"\n{more}\
                 [[server.namespace]]\nname = \"{LABEL}\"\npin_env = \"KMSS_PIN\"\n",
                home.display()
            )
        };
        let tls = format!(
            "listen = [\"127.0.0.1:{port}\"]\ncertificate = \"{folder}/server.pem\"\nkey = \"{folder}/server.key\"\n\
             client_ca = [\"{folder}/ca.pem\"]\n"
        );
        let first = self.kmssd("first", &settings("first.sock", &tls))?;
        // Two servers on one store.
        let second = self.kmssd("second", &settings("second.sock", ""))?;
        let echo = |name: &str, wire: &[String]| {
            self.project.job(&self.tool).arg("serve").args(wire).start(&self.folder.join(name))
        };
        let unix = ["--unix".to_owned(), format!("{folder}/echo.sock")];
        let certified = |name: &str| {
            [
                "--ca".to_owned(),
                format!("{folder}/ca.pem"),
                "--certificate".to_owned(),
                format!("{folder}/{name}.pem"),
                "--key".to_owned(),
                format!("{folder}/{name}.key"),
                "--address".to_owned(),
                format!("127.0.0.1:{echo_port}"),
            ]
        };
        let _echoes = (echo("echo.log", &unix)?, echo("echo-tls.log", &certified("server"))?);
        self.project.interrupt.pause(START)?;
        let near = self.client("near", &format!("uris = [\"unix:{folder}/first.sock\"]\nconnections = 8\n"))?;
        let far = self.client(
            "far",
            &format!(
                "uris = [\"https://localhost:{port}\"]\nca = \"{folder}/ca.pem\"\ncertificate = \"{folder}/client.pem\"\n\
                 key = \"{folder}/client.key\"\nconnections = {CONNECTIONS}\n"
            ),
        )?;
        let both =
            self.client("both", &format!("uris = [\"unix:{folder}/first.sock\", \"unix:{folder}/second.sock\"]\n"))?;
        let mut lines = vec![self.one_caller(&near, &unix)?];
        lines.push(self.many_callers("a Unix socket", (&home, &near), (&unix, "8"))?);
        lines.push(self.many_callers("mTLS, 4 connections", (&home, &far), (&certified("client"), CONNECTIONS))?);
        lines.push(self.killed(&both, first)?);
        drop(second);
        Ok(lines)
    }

    fn one_caller(&self, near: &Path, wire: &[String]) -> Result<Line, Error> {
        let rounds = self.rounds(|| {
            let echo = self.echo(wire, &["--callers", "1"])?;
            let sign = self.sign(near, &self.products.module, LABEL, "--key ec1")?;
            Ok((sign.p50_us - echo.p50_us, sign.p50_us, echo.p50_us))
        })?;
        let of = |which: fn(&(f64, f64, f64)) -> f64| median(rounds.iter().map(which).collect());
        let more = of(|round| round.0);
        Ok(Line {
            words: format!("P-256 on kmssd over a Unix socket, one caller: median of an echo + {MORE_US:.0} µs"),
            reached: more <= MORE_US,
            measured: format!("+ {more:.0} µs ({:.0} µs, echo {:.0} µs)", of(|round| round.1), of(|round| round.2)),
            why: AROUND,
        })
    }

    fn many_callers(
        &self,
        wire: &str,
        (served, client): (&Path, &Path),
        (address, connections): (&[String], &str),
    ) -> Result<Line, Error> {
        let rounds = self.rounds(|| {
            let echo = self.echo(address, &["--callers", MANY, "--connections", connections])?;
            let alone = self.sign(served, &self.products.module, LABEL, "--key ec1")?;
            let sign = self.sign(client, &self.products.module, LABEL, &format!("--key ec1 --callers {MANY}"))?;
            let possible = 1.0 / (1.0 / echo.per_second + 1.0 / alone.per_second);
            Ok((sign.per_second / possible, sign.per_second, echo.per_second))
        })?;
        let of = |which: fn(&(f64, f64, f64)) -> f64| median(rounds.iter().map(which).collect());
        let share = of(|round| round.0);
        Ok(Line {
            words: format!("P-256 on kmssd over {wire}, {MANY} callers: {SHARE} of what is possible"),
            reached: share >= SHARE,
            measured: format!("{share:.2} ({:.0}/s, echo {:.0}/s)", of(|round| round.1), of(|round| round.2)),
            why: "an echo decides nothing, records nothing and looks nothing up, at neither end",
        })
    }

    /// One of two servers dies under load.
    fn killed(&self, both: &Path, first: Service) -> Result<Line, Error> {
        let (project, id) = (self.project.interrupt.clone(), first.id());
        let figures = std::thread::scope(|scope| {
            let load = scope.spawn(|| {
                let job = self.at(self.project.job(&self.tool), both).arg("sign").arg("--module");
                let job = job.arg(&self.products.module).args(["--token", LABEL, "--pin", PIN, "--key", "ec1"]);
                job.args(["--callers", "8", "--seconds", "6", "--rate", STEADY]).run()
            });
            project.pause(Duration::from_secs(3))?;
            self.project.job("kill").args(["-s", "KILL", "--", &format!("-{id}")]).run()?;
            load.join().map_err(|_| Error::check("the callers panicked"))?
        })?;
        drop(first);
        let figures: Figures = serde_json::from_str(&figures.stdout)
            .map_err(|source| Error::Json { what: "the figures of wirebench", source })?;
        let Figures { calls, failed, slowest_us, .. } = figures;
        Ok(Line {
            words: format!(
                "one of two servers killed at {STEADY} calls a second: none fails, each within its deadline"
            ),
            reached: failed == 0 && slowest_us < DEADLINE_US,
            measured: format!("{failed} of {} failed, the slowest took {:.0} ms", calls + failed, slowest_us / 1e3),
            why: "a call did not find the other server in time",
        })
    }

    fn echo(&self, wire: &[String], how: &[&str]) -> Result<Figures, Error> {
        let job = self.project.job(&self.tool).arg("echo").args(wire).args(how);
        self.run(job.args(["--seconds", &self.seconds]))
    }

    fn kmssd(&self, name: &str, settings: &str) -> Result<Service, Error> {
        let file = self.folder.join(format!("{name}.toml"));
        write(&file, settings)?;
        let job = self.project.job(&self.products.server).env("KMSS_CONF", &file).env("KMSS_PIN", PIN);
        job.start(&self.folder.join(format!("{name}.log")))
    }

    /// A home whose token has its keys on a server.
    fn client(&self, name: &str, settings: &str) -> Result<PathBuf, Error> {
        let home = self.folder.join(name);
        self.kmss(&home, "home init")?;
        write(&home.join("kmss.toml"), &format!("[[remote]]\nname = \"prod\"\n{settings}"))?;
        self.kmss(&home, &format!("token init {LABEL} --backend prod"))?;
        Ok(home)
    }

    /// An authority, and certificates of a server and a client.
    fn certificates(&self) -> Result<(), Error> {
        let openssl = |line: &str| self.project.job("openssl").dir(&self.folder).args(line.split(' ')).run().map(drop);
        let pair = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
        openssl(&format!("req -x509 {pair} -keyout ca.key -out ca.pem -days 2 -subj /CN=bench"))?;
        for (name, san) in [("server", "DNS:localhost"), ("client", "URI:spiffe://bench/client")] {
            openssl(&format!(
                "req -x509 {pair} -keyout {name}.key -out {name}.pem -days 2 -subj /CN={name} -CA ca.pem -CAkey ca.key \
                 -addext subjectAltName={san} -addext basicConstraints=critical,CA:FALSE"
            ))?;
        }
        Ok(())
    }
}

/// A port that was free a moment ago.
fn free_port() -> Result<u16, Error> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
    let address = listener.map_err(|source| Error::Start { program: "a server on loopback".to_owned(), source })?;
    Ok(address.port())
}
